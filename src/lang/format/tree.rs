//! Leaves grouped by brackets: a file is a list of items, a bracket pair is a list of entries.

use super::leaves::Leaf;
use super::operators;
use crate::lang::tokens::TokenKind;
use crate::lang::words::ITEM_KEYWORDS;

/// A token, or a bracket pair with all in it.
#[derive(Debug)]
pub(super) enum Node {
    /// The index of a leaf.
    Leaf(usize),
    /// A bracket pair.
    Group(Group),
}

impl Node {
    /// The first leaf.
    pub fn first(&self) -> usize {
        match self {
            Node::Leaf(at) => *at,
            Node::Group(group) => group.open,
        }
    }
}

/// How a bracket pair is laid out before its width is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// On one line if it fits.
    Flat,
    /// It holds one that is broken, whose brackets it hugs: `f(sft {` … `})`.
    Hugging,
    /// One entry a line.
    Broken,
}

/// A bracket pair.
#[derive(Debug)]
pub(super) struct Group {
    /// The leaf that opens it.
    pub open: usize,
    /// The leaf that closes it.
    pub close: usize,
    /// What stands in it.
    pub entries: Vec<Entry>,
    /// How it is laid out.
    pub shape: Shape,
}

/// An item, a field, an argument, a binding: what gets a line of its own where its group is broken.
#[derive(Debug)]
pub(super) struct Entry {
    /// At least one node.
    pub nodes: Vec<Node>,
    /// The comma behind it.
    pub comma: Option<usize>,
}

impl Entry {
    /// Its first leaf.
    pub fn first(&self) -> usize {
        self.nodes.first().map_or(0, Node::first)
    }
}

/// The items of a file. `None` where brackets do not match, which no text that parses has.
pub(super) fn items(leaves: &[Leaf]) -> Option<Vec<Entry>> {
    let mut reader = Reader { leaves, at: 0 };
    let items = reader.entries(Within::File)?;
    (reader.at + 1 == leaves.len()).then_some(items)
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    File,
    /// `{ name: value … }`, also types and imports.
    Record,
    /// `{ name = value … return value }`, also sweeps.
    Block,
    /// `( … )` and `[ … ]`.
    List,
}

struct Reader<'a> {
    leaves: &'a [Leaf<'a>],
    at: usize,
}

impl Reader<'_> {
    /// Reads up to the bracket that closes `within`, which is left to the caller.
    fn entries(&mut self, within: Within) -> Option<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut annotated = false;
        while self.at + 1 < self.leaves.len() && self.leaves[self.at].kind != TokenKind::Close {
            let leaf = &self.leaves[self.at];
            if leaf.is(",") && !nodes.is_empty() {
                entries.push(Entry { nodes: std::mem::take(&mut nodes), comma: Some(self.at) });
                self.at += 1;
                continue;
            }
            if !annotated && !nodes.is_empty() && self.begins_entry(within) {
                entries.push(Entry { nodes: std::mem::take(&mut nodes), comma: None });
            }
            // In `name: T = value` the last word of the type stands before a `=` too, and begins nothing.
            annotated = within == Within::Block && (annotated || leaf.is(":")) && !leaf.is("=");
            nodes.push(self.node()?);
        }
        if !nodes.is_empty() {
            entries.push(Entry { nodes, comma: None });
        }
        Some(entries)
    }

    fn begins_entry(&self, within: Within) -> bool {
        let leaf = &self.leaves[self.at];
        let next = &self.leaves[self.at + 1];
        let names = matches!(leaf.kind, TokenKind::Name | TokenKind::Text);
        match within {
            Within::File => ITEM_KEYWORDS.contains(&leaf.text),
            Within::Record => leaf.is("...") || names && next.is(":"),
            Within::Block => matches!(leaf.text, "over" | "skip" | "return") || names && (next.is("=") || next.is(":")),
            Within::List => false,
        }
    }

    fn node(&mut self) -> Option<Node> {
        let open = self.at;
        self.at += 1;
        if self.leaves[open].kind != TokenKind::Open {
            return Some(Node::Leaf(open));
        }
        let within = self.within(open);
        let entries = self.entries(within)?;
        let close = self.at;
        self.at += 1;
        let fits = matches!((self.leaves[open].text, self.leaves[close].text), ("(", ")") | ("[", "]") | ("{", "}"));
        let shape = self.shape(&entries, open, close, within);
        fits.then_some(Node::Group(Group { open, close, entries, shape }))
    }

    /// Of braces, only blocks begin with a keyword, or with a name that is followed by no comma, colon or brace.
    fn within(&self, open: usize) -> Within {
        let ahead = |by: usize| self.leaves.get(open + by).map_or("", |leaf| leaf.text);
        match (ahead(0), ahead(1), ahead(2)) {
            ("{", "over" | "skip" | "return", _) | ("{", _, "=") => Within::Block,
            ("{", _, ":") if self.annotates(open) => Within::Block,
            ("{", ..) => Within::Record,
            _ => Within::List,
        }
    }

    /// Whether the first `name: …` in the braces is an annotated binding: its `=` stands before any further colon or
    /// comma, brackets left out.
    fn annotates(&self, open: usize) -> bool {
        let mut depth = 0;
        for leaf in &self.leaves[open + 3..] {
            match leaf.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close if depth == 0 => return false,
                TokenKind::Close => depth -= 1,
                TokenKind::Sign if depth == 0 && leaf.is("=") => return true,
                TokenKind::Sign if depth == 0 && !matches!(leaf.text, "." | "?" | "->" | "|") => return false,
                TokenKind::Keyword | TokenKind::Number | TokenKind::Quantity if depth == 0 => return false,
                _ => {}
            }
        }
        false
    }

    fn shape(&self, entries: &[Entry], open: usize, close: usize, within: Within) -> Shape {
        let commented = |at: usize| !self.leaves[at].comments.is_empty();
        let Some((last, others)) = entries.split_last() else {
            return if commented(close) { Shape::Broken } else { Shape::Flat };
        };
        let broken = self.leaves[open + 1].interrupted()
            || commented(close)
            || within == Within::Block && !others.is_empty()
            || others.iter().any(|entry| entry.comma.is_none())
            || entries.iter().any(|entry| commented(entry.first()) || entry.comma.is_some_and(commented))
            || entries.iter().any(|entry| self.interrupted(entry));
        let flat = |entry: &Entry| entry.nodes.iter().all(|node| !is_high(node));
        match () {
            () if broken => Shape::Broken,
            () if entries.iter().all(flat) => Shape::Flat,
            () if within == Within::List && others.is_empty() => Shape::Hugging,
            () if self.leaves[open].is("(") && others.iter().all(flat) && !flat(last) => Shape::Hugging,
            () => Shape::Broken,
        }
    }

    /// Whether a comment stands between the parts of an entry, or the user broke the line at an operator.
    fn interrupted(&self, entry: &Entry) -> bool {
        let commented = |node: &Node| !self.leaves[node.first()].comments.is_empty();
        entry.nodes[1..].iter().any(commented) || operators::interrupted(self.leaves, &entry.nodes)
    }
}

/// Whether a node takes several lines whatever the width.
fn is_high(node: &Node) -> bool {
    matches!(node, Node::Group(group) if group.shape != Shape::Flat)
}
