//! Starts the real binaries and simulated appliances for end-to-end tests. Every
//! wait is for an event with a deadline; every port is the kernel's choice.

pub mod feeder;
pub mod fleet;
pub mod grpcurl;
pub mod process;
pub mod view;

use std::time::Duration;

/// Longest wait for anything in a test. Generous: it only ends tests that would hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `event`, or fails the test saying what never came.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
