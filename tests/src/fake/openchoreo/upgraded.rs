//! A control plane that changes from the organization API to the namespace API, or is down.

use parking_lot::Mutex;

use super::{OlderOpenChoreo, OpenChoreo, Size, error};
use crate::fake::{FakeApi, FakeRequest, Reply};
use crate::hostile::Fault;

/// Which API it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The organization API.
    Organizations,
    /// The namespace API.
    Namespaces,
    /// None at the moment: every request is answered with 503.
    Down,
    /// None at all: every request is answered with 404.
    Other,
}

/// The control plane.
pub struct UpgradedOpenChoreo {
    /// Before the upgrade.
    pub organizations: OlderOpenChoreo,
    /// After it.
    pub namespaces: OpenChoreo,
    release: Mutex<Release>,
}

impl UpgradedOpenChoreo {
    /// With a few objects in both.
    #[must_use]
    pub fn new(release: Release) -> Self {
        let size = Size {
            namespaces: 2,
            components: 3,
            others: 1,
        };
        Self {
            organizations: OlderOpenChoreo::new(2, 3),
            namespaces: OpenChoreo::new(1, size),
            release: Mutex::new(release),
        }
    }

    /// Changes to another release.
    pub fn set(&self, release: Release) {
        *self.release.lock() = release;
    }
}

impl FakeApi for UpgradedOpenChoreo {
    fn answer(&self, request: &FakeRequest) -> Reply {
        let release = *self.release.lock();
        match release {
            Release::Organizations => self.organizations.answer(request),
            Release::Namespaces => self.namespaces.answer(request),
            Release::Down => error(503, "INTERNAL_ERROR", "no upstream"),
            Release::Other => error(404, "NOT_FOUND", "no such path"),
        }
    }

    fn fault(&self, _: Fault, _: &FakeRequest) -> Option<Reply> {
        None
    }
}
