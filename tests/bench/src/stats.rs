//! Order statistics over samples. Pure: no clock, no files.

/// The spread of a set of samples, in the samples' own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest sample.
    pub least: f64,
    /// The median.
    pub p50: f64,
    /// Nine samples in ten are not above this one.
    pub p90: f64,
    /// How many samples there are.
    pub count: usize,
}

/// The spread of the samples, by nearest rank; none without samples.
pub fn spread(samples: &[f64]) -> Option<Spread> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |percent: usize| {
        let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(place).copied()
    };
    Some(Spread { least: rank(0)?, p50: rank(50)?, p90: rank(90)?, count: sorted.len() })
}

#[cfg(test)]
mod tests;
