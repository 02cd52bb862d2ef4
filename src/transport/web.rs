//! HTTP as a client.
