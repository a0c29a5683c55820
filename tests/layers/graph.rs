//! The files as a graph: an edge for each import. Finds files that import each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Edges from file to file.
#[derive(Debug, Default)]
pub struct Graph {
    edges: BTreeMap<usize, BTreeSet<usize>>,
}

impl Graph {
    /// Adds an edge.
    pub fn add(&mut self, from: usize, to: usize) {
        self.edges.entry(from).or_default().insert(to);
    }

    /// The shortest way from one file to another, both included.
    pub fn way(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut before = BTreeMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(file) = open.pop_front() {
            for &next in self.edges.get(&file).into_iter().flatten() {
                if next == from || before.contains_key(&next) {
                    continue;
                }
                before.insert(next, file);
                if next == to {
                    let mut way = vec![to];
                    while let Some(&file) = before.get(way.last()?) {
                        way.push(file);
                    }
                    way.reverse();
                    return Some(way);
                }
                open.push_back(next);
            }
        }
        None
    }

    /// The groups of files of which each reaches each other one.
    pub fn circles(&self) -> Vec<Vec<usize>> {
        let mut left: BTreeSet<usize> = self.edges.keys().copied().collect();
        let mut circles = Vec::new();
        while let Some(file) = left.pop_first() {
            let reached = self.reached(file);
            let back: Vec<usize> =
                reached.into_iter().filter(|&other| self.reached(other).contains(&file)).collect();
            for other in &back {
                left.remove(other);
            }
            if back.len() > 1 {
                circles.push(back);
            }
        }
        circles
    }

    /// The shortest circle among some files, which reach each other: the first file is also the last.
    pub fn shortest_circle(&self, files: &[usize]) -> Vec<usize> {
        let edges = files.iter().flat_map(|&from| {
            let all = self.edges.get(&from).into_iter().flatten();
            all.filter(|to| files.contains(to)).map(move |&to| (from, to))
        });
        let circles = edges.filter_map(|(from, to)| {
            let mut circle = vec![from];
            circle.extend(self.way(to, from)?);
            Some(circle)
        });
        circles.min_by_key(Vec::len).unwrap_or_default()
    }

    fn reached(&self, from: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            for &next in self.edges.get(&file).into_iter().flatten() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }
}
