//! Bugs that are put in on purpose: the run is worth what it finds of them.

use std::{fmt, str::FromStr};

/// One planted bug. Each lives in what lies around the product, never in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// The intent of a step is written after the step.
    SwappedOrder,
    /// A commit that failed is answered as if it had been made.
    SwallowedError,
    /// That something was sent is forgotten at once.
    MarkerCleared,
    /// A task is handed out although somebody has it.
    LeaseIgnored,
    /// A commit is answered before it is on the disk.
    NotSynced,
}

impl Plant {
    pub(crate) const ALL: [Self; 5] =
        [Self::SwappedOrder, Self::SwallowedError, Self::MarkerCleared, Self::LeaseIgnored, Self::NotSynced];

    const fn name(self) -> &'static str {
        match self {
            Self::SwappedOrder => "swapped-order",
            Self::SwallowedError => "swallowed-error",
            Self::MarkerCleared => "marker-cleared",
            Self::LeaseIgnored => "lease-ignored",
            Self::NotSynced => "not-synced",
        }
    }
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|plant| plant.name() == text)
            .ok_or_else(|| format!("{text:?} is no planted bug: write {}", names()))
    }
}
