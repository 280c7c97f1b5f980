//! Decides where lines break, and writes the lines.

use super::columns::{self, Kind};
use super::leaves::{Comment, Leaf};
use super::lines::Line;
use super::operators;
use super::tree::{Entry, Group, Node, Shape};

/// How far a line may reach.
const WIDTH: usize = 100;
/// The blanks of one level.
const STEP: usize = 2;
/// Bracket pairs of one line that are tried, each alone, before all are broken.
const TRIES: usize = 4;

/// Lays out the items of a file.
pub(super) fn lines<'a>(leaves: &[Leaf<'a>], items: &[Entry]) -> Vec<Line<'a>> {
    let mut ends = Vec::with_capacity(leaves.len() + 1);
    ends.push(0);
    for leaf in leaves {
        ends.push(ends.last().copied().unwrap_or(0) + usize::from(leaf.spaced) + leaf.width);
    }
    let mut printer = Printer { leaves, ends, lines: Vec::new(), stops: Vec::new(), runs: 0 };
    printer.items(items);
    printer.lines
}

/// Which bracket pairs of an expression are broken although they need not be.
#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    None,
    /// That of the node with this index.
    One(usize),
    All,
}

impl Breaks {
    fn group(self, index: usize, group: &Group) -> bool {
        let chosen = self == Breaks::All || self == Breaks::One(index);
        group.shape == Shape::Broken || chosen && !group.entries.is_empty()
    }
}

struct Printer<'p, 'a> {
    leaves: &'p [Leaf<'a>],
    /// The width of everything before a leaf, on one line.
    ends: Vec<usize>,
    lines: Vec<Line<'a>>,
    /// The leaves that begin columns, of the entry at work.
    stops: Vec<usize>,
    /// Runs of aligned lines so far.
    runs: usize,
}

/// What the entry before leaves to know.
#[derive(Clone, Copy)]
struct Neighbour<'a> {
    kind: Option<Kind<'a>>,
    high: bool,
}

impl<'a> Printer<'_, 'a> {
    fn items(&mut self, items: &[Entry]) {
        let mut before: Option<Neighbour> = None;
        for item in items {
            let gap = self.lines.len();
            self.gap(item.first(), 0, 0, false);
            let apart = self.lines[gap..].iter().any(|line| line.blank);
            let commented = self.lines.len() - gap > 1;
            let joined = before.filter(|_| !apart && !commented);
            let this = self.entry(item, 0, joined);
            if !apart && this.high && before.is_some_and(|before| before.high) {
                self.part(gap);
            }
            before = Some(this);
        }
        let end = self.leaves.len() - 1;
        self.comments(end, 0, false);
    }

    /// Sets two items apart; notes that begin with `#!` belong to the line above them.
    fn part(&mut self, gap: usize) {
        if let Some(line) = self.lines[gap..].iter_mut().find(|line| !line.text.starts_with("#!")) {
            line.blank = true;
        }
    }

    /// Writes an entry on the line that was begun for it.
    fn entry(&mut self, entry: &Entry, indent: usize, before: Option<Neighbour<'a>>) -> Neighbour<'a> {
        let line = self.lines.len() - 1;
        let (kind, stops) = columns::columns(self.leaves, entry).unzip();
        self.stops = stops.unwrap_or_default();
        self.expression(&entry.nodes, indent, usize::from(entry.comma.is_some()));
        if let Some(comma) = entry.comma {
            self.leaf(comma, indent + STEP);
        }
        self.stops.clear();
        let high = self.lines.len() - 1 > line;
        if !high && kind.is_some() {
            let joined = before.is_some_and(|before| before.kind == kind && !before.high);
            self.runs += usize::from(!joined);
            self.lines[line].run = Some(self.runs);
        }
        Neighbour { kind, high }
    }

    /// Writes an expression at the start of a line; `behind` columns must stay free at its end.
    fn expression(&mut self, nodes: &[Node], indent: usize, behind: usize) {
        let fits = |breaks| self.fits(nodes, breaks, indent, behind);
        match operators::loosest(self.leaves, nodes) {
            Some(rank) if operators::interrupted(self.leaves, nodes) || !fits(Breaks::None) => {
                self.operands(&operators::operands(self.leaves, nodes, rank), indent, behind);
            }
            _ => {
                let breaks = self.breaks(nodes, indent, behind);
                self.nodes(nodes, breaks, indent + STEP);
            }
        }
    }

    fn operands(&mut self, operands: &[&[Node]], indent: usize, behind: usize) {
        let last = operands.len() - 1;
        for (number, operand) in operands.iter().enumerate() {
            let behind = if number == last { behind } else { 0 };
            if number == 0 {
                self.expression(operand, indent, behind);
            } else {
                self.comments(operand[0].first(), indent + STEP, false);
                self.line(indent + STEP, false);
                self.expression(operand, indent + STEP, behind);
            }
        }
    }

    /// The bracket pair to break so that an expression fits: the last that is enough alone, or all.
    fn breaks(&self, nodes: &[Node], indent: usize, behind: usize) -> Breaks {
        let fits = |breaks: &Breaks| self.fits(nodes, *breaks, indent, behind);
        let breakable = |node: &Node| matches!(node, Node::Group(group) if group.shape != Shape::Broken);
        let candidates = (0..nodes.len()).rev().filter(|&index| breakable(&nodes[index])).take(TRIES);
        let mut choices = std::iter::once(Breaks::None).chain(candidates.map(Breaks::One));
        choices.find(fits).unwrap_or(Breaks::All)
    }

    fn nodes(&mut self, nodes: &[Node], breaks: Breaks, next: usize) {
        for (index, node) in nodes.iter().enumerate() {
            match node {
                Node::Leaf(at) => self.leaf(*at, next),
                Node::Group(group) if breaks.group(index, group) => self.broken(group, next),
                Node::Group(group) if group.shape == Shape::Hugging => self.hugging(group, next),
                Node::Group(group) => (group.open..=group.close).for_each(|at| self.leaf(at, next)),
            }
        }
    }

    fn hugging(&mut self, group: &Group, next: usize) {
        self.leaf(group.open, next);
        for entry in &group.entries {
            self.nodes(&entry.nodes, Breaks::None, next);
            entry.comma.into_iter().for_each(|comma| self.leaf(comma, next));
        }
        self.leaf(group.close, next);
    }

    fn broken(&mut self, group: &Group, next: usize) {
        self.leaf(group.open, next);
        let outer = self.lines.last().map_or(0, |line| line.indent);
        let inner = outer + STEP;
        let mut before = None;
        for (number, entry) in group.entries.iter().enumerate() {
            let gap = self.lines.len();
            self.gap(entry.first(), inner, inner, number == 0);
            let apart = self.lines[gap..].iter().any(|line| line.blank);
            before = Some(self.entry(entry, inner, before.filter(|_| !apart)));
        }
        self.comments(group.close, inner, group.entries.is_empty());
        self.line(outer, false);
        self.leaf(group.close, next);
    }

    /// Ends the line before an entry: its comments, at most one blank line, and a new line for it.
    fn gap(&mut self, at: usize, comments: usize, indent: usize, first: bool) {
        self.comments(at, comments, first);
        let leaf = &self.leaves[at];
        self.line(indent, leaf.blank && !(first && leaf.comments.iter().all(|comment| !comment.own_line)));
    }

    /// Writes the comments before a leaf, where lines may be blank between them.
    fn comments(&mut self, at: usize, indent: usize, first: bool) {
        for (number, comment) in self.leaves[at].comments.iter().enumerate() {
            let opens = first && self.leaves[at].comments[..number].iter().all(|comment| !comment.own_line);
            self.comment(comment, indent, !opens);
        }
    }

    fn comment(&mut self, comment: &Comment<'a>, indent: usize, may_part: bool) {
        match self.lines.last_mut() {
            Some(line) if !comment.own_line => line.comment = Some(comment.text),
            _ => {
                self.line(indent, comment.blank && may_part);
                self.write(comment.text);
            }
        }
    }

    fn line(&mut self, indent: usize, blank: bool) {
        self.lines.push(Line { indent, blank, ..Line::default() });
    }

    fn write(&mut self, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.text.push_str(text);
        }
    }

    /// Writes a leaf; after a comment it goes on in a line of its own.
    fn leaf(&mut self, at: usize, next: usize) {
        let leaf = &self.leaves[at];
        let begun = self.lines.last().is_some_and(|line| !line.text.is_empty());
        if begun && !leaf.comments.is_empty() {
            leaf.comments.iter().for_each(|comment| self.comment(comment, next, false));
            self.line(next, false);
        } else if begun && leaf.spaced {
            self.write(" ");
        }
        if self.stops.contains(&at)
            && let Some(line) = self.lines.last_mut()
        {
            line.stops.push(line.text.len());
        }
        self.write(leaf.text);
    }

    /// Whether no line of an expression reaches too far.
    fn fits(&self, nodes: &[Node], breaks: Breaks, indent: usize, behind: usize) -> bool {
        let mut ruler = Ruler { printer: self, indent, next: indent + STEP, column: indent, fits: true };
        ruler.nodes(nodes, breaks);
        ruler.fits && ruler.column + behind <= WIDTH
    }
}

/// Walks over an expression as [`Printer::nodes`] would write it, and measures.
struct Ruler<'r, 'p, 'a> {
    printer: &'r Printer<'p, 'a>,
    /// Where the line begins.
    indent: usize,
    /// Where it goes on after a comment.
    next: usize,
    column: usize,
    fits: bool,
}

impl Ruler<'_, '_, '_> {
    fn nodes(&mut self, nodes: &[Node], breaks: Breaks) {
        for (index, node) in nodes.iter().enumerate() {
            match node {
                Node::Leaf(at) => self.flat(*at, *at),
                Node::Group(group) if breaks.group(index, group) => {
                    self.flat(group.open, group.open);
                    self.column = self.indent + 1;
                }
                Node::Group(group) if group.shape == Shape::Hugging => self.hugging(group),
                Node::Group(group) => self.flat(group.open, group.close),
            }
        }
    }

    fn hugging(&mut self, group: &Group) {
        self.flat(group.open, group.open);
        for entry in &group.entries {
            self.nodes(&entry.nodes, Breaks::None);
            entry.comma.into_iter().for_each(|comma| self.flat(comma, comma));
        }
        self.flat(group.close, group.close);
    }

    fn flat(&mut self, first: usize, last: usize) {
        let leaf = &self.printer.leaves[first];
        let begun = self.column > self.indent;
        if begun && !leaf.comments.is_empty() {
            (self.indent, self.column) = (self.next, self.next);
        }
        let space = usize::from(leaf.spaced && self.column == self.indent);
        self.column += self.printer.ends[last + 1] - self.printer.ends[first] - space;
        self.fits &= self.column <= WIDTH;
    }
}
