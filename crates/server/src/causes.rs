//! Writes an error together with what caused it, for people.

use std::error::Error;

/// The error, and behind colons what caused it, down to the first cause.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
