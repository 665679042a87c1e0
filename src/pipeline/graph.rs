//! Which step builds on which: checked once, when the pipeline is built.

use std::{collections::HashMap, sync::Arc};

use super::fetch::TokenFetcher;
use crate::error::Faults;

/// The positions of what each step depends on, or faults that name the step and the dependency.
pub(super) fn parents(
    steps: &[Arc<dyn TokenFetcher>],
    any_order: bool,
    faults: &mut Faults,
) -> Vec<Vec<usize>> {
    let mut known = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        faults.check(!step.name().is_empty(), "step", index, "must have a name");
        if known.insert(step.name(), index).is_some() {
            faults.add("step", step.name(), "must not come twice");
        }
    }
    let mut all = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let mut parents = Vec::new();
        for needed in step.depends_on() {
            let arrow = format!("{} -> {needed}", step.name());
            match known.get(needed.as_str()) {
                None => faults.add("depends_on", arrow, "names no step"),
                Some(parent) if *parent == index => {
                    faults.add("depends_on", arrow, "must not be the step itself")
                }
                Some(parent) if *parent > index && !any_order => {
                    faults.add("depends_on", arrow, "must name an earlier step");
                }
                Some(parent) => parents.push(*parent),
            }
        }
        all.push(parents);
    }
    for (index, step) in steps.iter().enumerate() {
        if let Some(via) = all[index].iter().find(|parent| reaches(&all, **parent, index)) {
            let arrow = format!("{} -> {}", step.name(), steps[*via].name());
            faults.add("depends_on", arrow, "must not lead back to the step");
        }
    }
    all
}

/// Where a renewal begins, and all that is renewed: the last step, or `refresh_from` and all between it and the
/// last.
pub(super) fn renewed(
    steps: &[Arc<dyn TokenFetcher>],
    refresh_from: Option<&str>,
    parents: &[Vec<usize>],
    faults: &mut Faults,
) -> (usize, Vec<usize>) {
    let Some(last) = steps.len().checked_sub(1) else {
        return (0, Vec::new());
    };
    let Some(name) = refresh_from else {
        return (last, vec![last]);
    };
    let Some(from) = steps.iter().position(|step| step.name() == name) else {
        faults.add("refresh_from", name, "names no step");
        return (last, Vec::new());
    };
    faults.check(
        reaches(parents, last, from),
        "refresh_from",
        name,
        "must be one that the last step builds on",
    );
    let between = |step: &usize| reaches(parents, last, *step) && reaches(parents, *step, from);
    (from, (0..steps.len()).filter(between).collect())
}

/// Every step that builds on this one, directly or not.
pub(super) fn dependents(parents: &[Vec<usize>], step: usize) -> Vec<usize> {
    (0..parents.len()).filter(|other| *other != step && reaches(parents, *other, step)).collect()
}

/// The longest chain that ends in this step; there are no cycles any more.
pub(super) fn depth(parents: &[Vec<usize>], step: usize) -> u32 {
    let longest = parents[step].iter().map(|parent| depth(parents, *parent)).max().unwrap_or(0);
    longest.saturating_add(1)
}

/// Whether `from` is `to` or depends on it, directly or not.
fn reaches(parents: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; parents.len()];
    let mut open = vec![from];
    while let Some(step) = open.pop() {
        if step == to {
            return true;
        }
        if !std::mem::replace(&mut seen[step], true) {
            open.extend(&parents[step]);
        }
    }
    false
}
