//! Sums, products and multiples of matrices, entry by entry.

use super::budget::Stop;
use super::tree::Tree;

/// The most entries of a matrix that is computed.
const MAX_ENTRIES: usize = 64;

/// The entries of a matrix expression, by rows.
///
/// # Errors
/// [`Stop::Beyond`] where the expression is no matrix, [`Stop::TooLarge`] where it has too many entries.
pub fn value(tree: &Tree) -> Result<Vec<Vec<Tree>>, Stop> {
    match tree {
        Tree::Matrix(rows) => Ok(rows.clone()),
        Tree::Negative(inner) => Ok(each(&value(inner)?, |entry| Tree::Negative(Box::new(entry.clone())))),
        Tree::Quotient(over, under) if !has_matrix(under) => {
            Ok(each(&value(over)?, |entry| Tree::Quotient(Box::new(entry.clone()), under.clone())))
        }
        Tree::Sum(terms) => {
            let (first, rest) = terms.split_first().ok_or(Stop::Beyond)?;
            rest.iter().try_fold(value(first)?, |sum, term| plus(&sum, &value(term)?))
        }
        Tree::Product(factors) => {
            let (matrices, scalars): (Vec<&Tree>, Vec<&Tree>) = factors.iter().partition(|factor| has_matrix(factor));
            let (first, rest) = matrices.split_first().ok_or(Stop::Beyond)?;
            let product = rest.iter().try_fold(value(first)?, |product, factor| times(&product, &value(factor)?))?;
            let scaled = |entry: &Tree| {
                Tree::Product(scalars.iter().map(|scalar| (*scalar).clone()).chain([entry.clone()]).collect())
            };
            Ok(if scalars.is_empty() { product } else { each(&product, scaled) })
        }
        _ => Err(Stop::Beyond),
    }
}

fn has_matrix(tree: &Tree) -> bool {
    tree.contains(&|part| matches!(part, Tree::Matrix(_)))
}

fn each(rows: &[Vec<Tree>], change: impl Fn(&Tree) -> Tree) -> Vec<Vec<Tree>> {
    rows.iter().map(|row| row.iter().map(&change).collect()).collect()
}

fn plus(left: &[Vec<Tree>], right: &[Vec<Tree>]) -> Result<Vec<Vec<Tree>>, Stop> {
    if left.len() != right.len() || left.iter().zip(right).any(|(left, right)| left.len() != right.len()) {
        return Err(Stop::Beyond);
    }
    let row = |(left, right): (&Vec<Tree>, &Vec<Tree>)| {
        left.iter().zip(right).map(|(left, right)| Tree::Sum(vec![left.clone(), right.clone()])).collect()
    };
    Ok(left.iter().zip(right).map(row).collect())
}

fn times(left: &[Vec<Tree>], right: &[Vec<Tree>]) -> Result<Vec<Vec<Tree>>, Stop> {
    let width = right.first().map_or(0, Vec::len);
    if left.iter().any(|row| row.len() != right.len()) || width == 0 {
        return Err(Stop::Beyond);
    }
    if left.len() * width * right.len() > MAX_ENTRIES {
        return Err(Stop::TooLarge);
    }
    let entry = |row: &Vec<Tree>, column: usize| {
        let terms = row.iter().zip(right).map(|(left, right)| Tree::Product(vec![left.clone(), right[column].clone()]));
        Tree::Sum(terms.collect())
    };
    Ok(left.iter().map(|row| (0..width).map(|column| entry(row, column)).collect()).collect())
}
