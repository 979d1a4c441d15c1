//! The registry that is killed: as it is released, or the same on a disk that
//! fails now and then.

use std::net::SocketAddr;
use std::path::Path;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::{Disk, Report};
use crate::harness::fleet::Service;

/// Built with the tests; see `tests/examples/failing-registry`.
const FAILING: &str = "examples/failing-registry";
const SEED: &str = "FAULTS_SEED";
const AT_START: &str = "FAULTS_AT_START";
/// One start in so many is on a disk that may fail already.
const BAD_START_ONE_IN: u32 = 4;

#[derive(Debug)]
pub(super) struct Subject {
    service: Service,
    disk: Disk,
}

impl Subject {
    pub(super) async fn start(
        folder: &Path,
        disk: Disk,
        rng: &mut StdRng,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        if disk == Disk::Good {
            return Ok(Self { service: Service::start("pulse-registry", folder, "").await?, disk });
        }
        let mut subject = Self { service: Service::prepared(FAILING, folder, ""), disk };
        subject.up(rng, report).await?;
        Ok(subject)
    }

    /// Starts it again. A start that the disk prevents is followed by one on a disk that works.
    pub(super) async fn up(&mut self, rng: &mut StdRng, report: &mut Report) -> anyhow::Result<()> {
        if self.disk == Disk::Good {
            return self.service.up().await;
        }
        self.service.set_env(SEED, Some(&rng.random::<u64>().to_string()));
        if rng.random_ratio(1, BAD_START_ONE_IN) {
            self.service.set_env(AT_START, Some("true"));
            if self.service.up().await.is_ok() {
                return Ok(());
            }
            report.failed_starts += 1;
        }
        self.service.set_env(AT_START, None);
        self.service.up().await
    }

    pub(super) fn grpc(&self) -> SocketAddr {
        self.service.grpc()
    }

    pub(super) async fn kill9(&mut self) -> anyhow::Result<()> {
        self.service.kill9().await
    }

    pub(super) async fn terminate(&mut self) -> anyhow::Result<()> {
        self.service.terminate().await
    }
}
