//! The TOML as types.
