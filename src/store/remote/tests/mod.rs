//! Tests of the remote cache.
