//! The one place that asks the machine for randomness that nobody can guess.

use maily_registry::chance::{Chance, NoChance};

/// The machine's.
#[derive(Clone, Copy, Debug)]
pub struct MachineChance;

impl Chance for MachineChance {
    fn fill(&self, octets: &mut [u8]) -> Result<(), NoChance> {
        aws_lc_rs::rand::fill(octets).map_err(|_| NoChance)
    }
}
