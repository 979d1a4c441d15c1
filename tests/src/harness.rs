//! Starts the real binaries and simulated appliances for end-to-end tests.
