//! Configuration: YAML with `${NAME}` from the environment, read into [`settings`]; every error with file, line and path,
//! all of them at once.

pub mod settings;
