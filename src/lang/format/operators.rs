//! Where a line may break outside of brackets: before operators, the loosest first.

use super::leaves::Leaf;
use super::tree::Node;

/// How loosely an operator binds; the loosest are broken first.
pub(super) type Rank = u8;

/// The rank of a leaf before which a line may break.
fn rank(leaf: &Leaf) -> Option<Rank> {
    Some(match leaf.text {
        "where" | "for" => 0,
        // Behind a value it filters a comprehension; elsewhere it begins a conditional.
        "if" if leaf.after_value => 0,
        "then" | "else" => 1,
        "|>" => 2,
        ">>" => 3,
        "or" => 4,
        "and" => 5,
        "+" | "-" if leaf.binary => 6,
        "|" => 7,
        _ => return None,
    })
}

/// The operators between the parts of an expression, each with the index of its node.
fn operators<'n>(leaves: &'n [Leaf], nodes: &'n [Node]) -> impl Iterator<Item = (usize, &'n Leaf<'n>, Rank)> {
    let inner = nodes.iter().enumerate().skip(1);
    inner.filter_map(|(index, node)| match node {
        Node::Leaf(at) => rank(&leaves[*at]).map(|rank| (index, &leaves[*at], rank)),
        Node::Group(_) => None,
    })
}

/// The loosest rank among the operators of an expression.
pub(super) fn loosest(leaves: &[Leaf], nodes: &[Node]) -> Option<Rank> {
    operators(leaves, nodes).map(|(.., rank)| rank).min()
}

/// Whether the user, or a comment, broke the line at an operator.
pub(super) fn interrupted(leaves: &[Leaf], nodes: &[Node]) -> bool {
    operators(leaves, nodes).any(|(index, leaf, _)| {
        let next = nodes.get(index + 1).map(|node| &leaves[node.first()]);
        leaf.interrupted() || next.is_some_and(Leaf::interrupted)
    })
}

/// The operands between the operators of one rank; all but the first begin with their operator.
pub(super) fn operands<'n>(leaves: &[Leaf], nodes: &'n [Node], rank: Rank) -> Vec<&'n [Node]> {
    let splits: Vec<usize> =
        operators(leaves, nodes).filter(|(.., other)| *other == rank).map(|(index, ..)| index).collect();
    let starts = std::iter::once(0).chain(splits.iter().copied());
    let ends = splits.iter().copied().chain([nodes.len()]);
    starts.zip(ends).map(|(start, end)| &nodes[start..end]).collect()
}
