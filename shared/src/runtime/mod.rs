//! Loops and shutdown: every loop of every role is a `run_once` and one shared driver.
