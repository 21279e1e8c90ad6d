//! The kinds of source that come with Tideline.
