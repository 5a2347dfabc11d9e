//! Any error of a store as the hub is told it.

use std::sync::Arc;

use fanfare_hub::engine::EngineFault;

pub(crate) fn fault(error: impl std::error::Error + Send + Sync + 'static) -> EngineFault {
    Arc::new(error)
}
