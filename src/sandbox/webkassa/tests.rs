//! Tests of the sandbox Webkassa over real sockets.
