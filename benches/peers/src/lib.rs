//! Interleaved rounds of variants that do the same work.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

const ROUNDS: usize = 41;
const CALLS: usize = 20_000;

/// Something that is done over and over.
pub struct Variant {
    name: &'static str,
    /// The variant that this one builds on: its cost is taken off.
    bare: Option<usize>,
    call: Box<dyn FnMut()>,
}

/// What a variant costs beyond the one it builds on, in nanoseconds.
pub struct Added(Vec<f64>);

impl Variant {
    pub fn bare(name: &'static str, call: impl FnMut() + 'static) -> Self {
        Self { name, bare: None, call: Box::new(call) }
    }

    pub fn on(bare: usize, name: &'static str, call: impl FnMut() + 'static) -> Self {
        Self { name, bare: Some(bare), call: Box::new(call) }
    }
}

impl Added {
    /// Prints how many times as much one adds as another, and whether that is within the target.
    pub fn ratio(&self, what: &str, ours: usize, theirs: usize, target: f64) {
        let ratio = self.0[ours] / self.0[theirs];
        let verdict = if ratio <= target { "met" } else { "MISSED" };
        println!("{what}: {ratio:.2} (target {target}, {verdict})");
    }
}

/// Runs all variants in turn, many times, and prints medians: nanoseconds, what is added, allocations.
pub fn compare(title: &str, mut variants: Vec<Variant>) -> Added {
    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let started = Instant::now();
            (0..CALLS).for_each(|_| (variant.call)());
            times.push(started.elapsed());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("\n{title}\n{:<52} {:>8} {:>9} {:>7}", "", "ns", "added ns", "allocs");
    let mut all_added = Vec::with_capacity(variants.len());
    for (variant, median) in variants.iter_mut().zip(&medians) {
        let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| (variant.call)()));
        let allocations = counted.count_total as f64 / 1_000.0;
        let added = variant.bare.map_or(0.0, |bare| median - medians[bare]);
        println!("{:<52} {median:>8.1} {added:>9.1} {allocations:>7.2}", variant.name);
        all_added.push(added);
    }
    Added(all_added)
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / CALLS as f64
}
