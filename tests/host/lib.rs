//! Helpers for model and property tests.
