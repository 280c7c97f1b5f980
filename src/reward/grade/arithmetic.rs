//! Tokens to a tree: sums, products, powers, fractions, roots and functions.

use super::budget::Stop;
use super::literal::{literal, repeating};
use super::parse::Parser;
use super::tokens::{Kind, Token};
use super::tree::Tree;
use num_traits::{One, Signed};

/// Functions of one argument that are written without brackets, too.
const FUNCTIONS: [&str; 19] = [
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "lg",
    "exp", "max", "min", "gcd",
];

/// Commands that name a quantity.
const SYMBOLS: [&str; 34] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
    "ell",
];

/// Commands that mark the name behind them.
const ACCENTS: [&str; 12] = [
    "overline",
    "bar",
    "vec",
    "hat",
    "tilde",
    "dot",
    "overrightarrow",
    "angle",
    "triangle",
    "widehat",
    "mathcal",
    "underline",
];

/// The most powers and marks behind one value: each is a level of the tree.
const MAX_MARKS: usize = 5;

/// Whether a run of letters names a function or a constant.
pub fn is_function(word: &str) -> bool {
    FUNCTIONS.contains(&word) || matches!(word, "sqrt" | "pi" | "infty" | "infinity" | "abs")
}

impl Parser {
    /// Terms with signs between them.
    pub(super) fn sum(&mut self) -> Result<Tree, Stop> {
        let mut terms = vec![self.term(true)?];
        while self.at_sign_of_term() {
            terms.push(self.term(false)?);
        }
        Ok(if terms.len() == 1 { terms.swap_remove(0) } else { Tree::Sum(terms) })
    }

    fn at_sign_of_term(&self) -> bool {
        self.is_sign('+') || self.is_sign('-') || self.is_command("pm") || self.is_command("mp")
    }

    /// A term with the signs before it; only the first may stand without one.
    fn term(&mut self, first: bool) -> Result<Tree, Stop> {
        let mut negative = false;
        let mut both = None;
        let mut signs = 0;
        loop {
            match self.peek() {
                Some(Kind::Sign('+')) => {}
                Some(Kind::Sign('-')) => negative = !negative,
                Some(Kind::Command(name)) if (name == "pm" || name == "mp") && both.is_none() => {
                    both = Some(name == "mp")
                }
                _ if signs == 0 && !first => return Err(Stop::Beyond),
                _ => break,
            }
            signs += 1;
            self.at += 1;
        }
        // `--33` and `+-+2` are slips, not numbers.
        if signs > 2 || (first && signs > 1 && both.is_none()) {
            return Err(Stop::Beyond);
        }
        let product = self.product()?;
        let product = if negative { Tree::Negative(Box::new(product)) } else { product };
        Ok(both.map_or(product.clone(), |swapped| Tree::PlusMinus(swapped, Box::new(product))))
    }

    /// Factors, written out or side by side, and divisors, from left to right.
    fn product(&mut self) -> Result<Tree, Stop> {
        let mut value = self.factor()?;
        loop {
            if self.take_sign('*') || self.take_command("cdot") || self.take_command("times") {
                value = times(value, self.signed_factor()?);
            } else if self.take_sign('/') || self.take_command("div") {
                self.divide()?;
                value = Tree::Quotient(Box::new(value), Box::new(self.signed_factor()?));
            } else if self.starts_factor() {
                value = times(value, self.factor()?);
            } else {
                return Ok(value);
            }
        }
    }

    fn signed_factor(&mut self) -> Result<Tree, Stop> {
        let negative = self.take_sign('-');
        let factor = self.factor()?;
        Ok(if negative { Tree::Negative(Box::new(factor)) } else { factor })
    }

    /// Whether a factor may stand here without a sign before it. A number may not: `3 5` is no product.
    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(Kind::Letter(_)) => !self.is_letter_cup() && !self.is_unit(),
            Some(Kind::Word(..)) => !self.is_plain_word() && !self.is_unit() && !self.is_joint(),
            Some(Kind::Sign('(' | '[' | '{')) => true,
            Some(Kind::Sign('|')) => self.bars == 0,
            Some(Kind::Command(name)) => starts_value(name),
            _ => false,
        }
    }

    fn is_joint(&self) -> bool {
        matches!(self.peek(), Some(Kind::Word(word, _)) if matches!(word.to_lowercase().as_str(), "and" | "or"))
    }

    /// A value with what is written behind and above it.
    fn factor(&mut self) -> Result<Tree, Stop> {
        self.deeper(|parser| {
            let start = parser.at;
            let mut value = parser.value()?;
            if let Some(mixed) = parser.mixed(&value, start)? {
                return Ok(mixed);
            }
            for _ in 0..MAX_MARKS {
                value = match parser.peek() {
                    Some(Kind::Sign('^')) => parser.raised(value)?,
                    Some(Kind::Sign('_')) => parser.indexed(value, start)?,
                    Some(&Kind::Sign(mark @ ('!' | '%' | '\''))) => {
                        parser.at += 1;
                        marked(value, mark)?
                    }
                    Some(Kind::Command(name)) if name == "degree" || name == "circ" => {
                        parser.at += 1;
                        Tree::Degrees(Box::new(value))
                    }
                    _ => return Ok(value),
                };
            }
            Err(Stop::TooLarge)
        })
    }

    /// `1\frac{1}{2}` and `1 1/2`: a whole number with a proper fraction behind it.
    fn mixed(&mut self, whole: &Tree, start: usize) -> Result<Option<Tree>, Stop> {
        let is_whole = matches!(whole, Tree::Number(number) if number.places.is_none() && number.value.is_integer());
        if !is_whole || self.at != start + 1 {
            return Ok(None);
        }
        let slashed = self.spaced()
            && matches!(
                (self.peek(), self.ahead(1), self.ahead(2)),
                (Some(Kind::Number(..)), Some(Kind::Sign('/')), Some(Kind::Number(..)))
            );
        if !slashed && !self.is_command("frac") {
            return Ok(None);
        }
        let back = self.at;
        let fraction = if slashed {
            let over = self.value()?;
            self.at += 1;
            Tree::Quotient(Box::new(over), Box::new(self.value()?))
        } else {
            self.value()?
        };
        let Tree::Quotient(over, under) = &fraction else { return Err(Stop::Beyond) };
        match (&**over, &**under) {
            (Tree::Number(over), Tree::Number(under)) => {
                // `1 3/2` is neither a mixed number nor clearly a product.
                let proper = over.value.is_integer() && under.value.is_integer() && over.value < under.value;
                if !proper || over.value.is_negative() {
                    return Err(Stop::Beyond);
                }
                Ok(Some(Tree::Sum(vec![whole.clone(), fraction])))
            }
            _ => {
                self.at = back;
                Ok(None)
            }
        }
    }

    /// A value with the exponent that follows.
    fn raised(&mut self, base: Tree) -> Result<Tree, Stop> {
        self.at += 1;
        let braced = self.is_sign('{');
        let mark = if braced { self.ahead(1) } else { self.peek() };
        let is_degree = matches!(mark, Some(Kind::Command(name)) if name == "circ" || name == "degree");
        let is_prime = matches!(mark, Some(Kind::Command(name)) if name == "prime");
        if (is_degree || is_prime) && (!braced || self.ahead(2) == Some(&Kind::Sign('}'))) {
            self.at += if braced { 3 } else { 1 };
            return if is_prime { primed(base) } else { Ok(Tree::Degrees(Box::new(base))) };
        }
        let exponent = self.exponent()?;
        Ok(Tree::Power(Box::new(base), Box::new(exponent)))
    }

    fn exponent(&mut self) -> Result<Tree, Stop> {
        let negative = self.take_sign('-');
        let value = self.deeper(Self::value)?;
        Ok(if negative { Tree::Negative(Box::new(value)) } else { value })
    }

    /// `x_1`, `204_5`: a name with its index, or digits with their base.
    fn indexed(&mut self, value: Tree, start: usize) -> Result<Tree, Stop> {
        let written = match self.tokens.get(start).map(|token| &token.kind) {
            Some(Kind::Number(digits, None)) if self.at == start + 1 => Some(digits.clone()),
            Some(Kind::Sign('(')) => match self.tokens.get(start + 1).map(|token| &token.kind) {
                Some(Kind::Number(digits, None)) if self.at == start + 3 => Some(digits.clone()),
                _ => None,
            },
            _ => None,
        };
        self.at += 1;
        let index = self.index()?;
        if let Some(digits) = written {
            let base = base_of(&index).filter(|base| (2..=36).contains(base)).ok_or(Stop::Beyond)?;
            return Ok(Tree::Based(digits.trim_start_matches('0').to_string(), base));
        }
        match value {
            Tree::Symbol(name) => Ok(Tree::Symbol(format!("{name}_{index}"))),
            Tree::Euler => Ok(Tree::Symbol(format!("e_{index}"))),
            Tree::Imaginary => Ok(Tree::Symbol(format!("i_{index}"))),
            _ => Err(Stop::Beyond),
        }
    }

    /// The text of an index, its braces dropped.
    fn index(&mut self) -> Result<String, Stop> {
        let mut text = String::new();
        let mut depth = 0;
        loop {
            let token = self.tokens.get(self.at).ok_or(Stop::Beyond)?.kind.clone();
            self.at += 1;
            match token {
                Kind::Sign('{') => depth += 1,
                Kind::Sign('}') if depth > 0 => depth -= 1,
                Kind::Number(digits, _) => text += &digits,
                Kind::Letter(letter) => text.push(letter),
                Kind::Word(word, _) => text += &word,
                Kind::Command(name) => text += &format!("\\{name}"),
                Kind::Sign(sign) if depth > 0 => text.push(sign),
                _ => return Err(Stop::Beyond),
            }
            if depth == 0 {
                return if text.is_empty() { Err(Stop::Beyond) } else { Ok(text) };
            }
        }
    }

    /// What stands without signs: a number, a name, a fraction, a root, a function, something in brackets.
    fn value(&mut self) -> Result<Tree, Stop> {
        let kind = self.peek().cloned().ok_or(Stop::Beyond)?;
        self.split_word(&kind);
        let kind = self.peek().cloned().unwrap_or(kind);
        self.at += 1;
        match kind {
            Kind::Number(digits, power) => self.number(&digits, power.as_deref()),
            Kind::Letter(letter) => self.letter(letter),
            Kind::Word(word, _) => self.word(&word),
            Kind::Command(name) => self.command(&name),
            Kind::Sign(open @ ('(' | '[')) => self.bracketed(open),
            Kind::Sign('{') => self.braced(),
            Kind::Sign('|') => self.absolute(),
            Kind::SetOpen => self.set(),
            _ => Err(Stop::Beyond),
        }
    }

    /// `abc` in a formula is a·b·c; `ABC` is a name of its own, and `sin` a function.
    fn split_word(&mut self, kind: &Kind) {
        let Kind::Word(word, false) = kind else { return };
        let capitals = word.chars().all(char::is_uppercase);
        if is_function(word) || capitals || self.is_plain_word() {
            return;
        }
        let spaced = self.spaced();
        let letters = word
            .chars()
            .enumerate()
            .map(|(index, letter)| Token { kind: Kind::Letter(letter), spaced: spaced && index == 0 });
        self.tokens.splice(self.at..=self.at, letters.collect::<Vec<_>>());
    }

    fn number(&mut self, digits: &str, power: Option<&str>) -> Result<Tree, Stop> {
        let pointed = digits.contains('.');
        if pointed && (self.is_command("overline") || self.is_command("bar")) {
            self.at += 1;
            let period = self.index()?;
            return Ok(Tree::Number(repeating(digits, &period)?));
        }
        Ok(Tree::Number(literal(digits, power)?))
    }

    fn letter(&mut self, letter: char) -> Result<Tree, Stop> {
        let marks = self.function_marks();
        let open = self.ahead(marks.len()) == Some(&Kind::Sign('(')) && !(marks.is_empty() && self.spaced());
        if open && (matches!(letter, 'f' | 'g' | 'h' | 'F' | 'G') || (marks.is_empty() && self.is_definition())) {
            self.at += marks.len();
            let name = std::iter::once(letter).chain(marks).collect();
            return Ok(Tree::Call(name, self.arguments()?));
        }
        Ok(match letter {
            'e' | '\u{212f}' => Tree::Euler,
            'i' => Tree::Imaginary,
            letter => Tree::Symbol(letter.to_string()),
        })
    }

    /// The marks of a derivative or an inverse, one a token: `'`, or `^{-1}`.
    fn function_marks(&self) -> Vec<char> {
        let primes = (0..3).take_while(|by| self.ahead(*by) == Some(&Kind::Sign('\''))).count();
        let inverse = ['^', '{', '-', '1', '}'];
        let is_inverse = inverse.iter().enumerate().all(|(by, mark)| match self.ahead(by) {
            Some(Kind::Number(digits, None)) => digits == "1" && *mark == '1',
            Some(Kind::Sign(sign)) => sign == mark,
            _ => false,
        });
        if is_inverse { inverse.to_vec() } else { vec!['\''; primes] }
    }

    /// `(n) =`: what stands before it is a function's name.
    fn is_definition(&self) -> bool {
        matches!(
            (self.ahead(1), self.ahead(2), self.ahead(3)),
            (Some(Kind::Letter(_) | Kind::Number(..)), Some(Kind::Sign(')')), Some(Kind::Sign('=')))
        )
    }

    fn word(&mut self, word: &str) -> Result<Tree, Stop> {
        match word {
            "pi" => Ok(Tree::Pi),
            "infty" | "infinity" => Ok(Tree::Infinity),
            _ if is_function(word) => self.command(word),
            _ if word.chars().all(char::is_uppercase) => Ok(Tree::Symbol(word.to_string())),
            _ => Err(Stop::Beyond),
        }
    }

    fn command(&mut self, name: &str) -> Result<Tree, Stop> {
        match name {
            "frac" => {
                let over = self.deeper(Self::argument)?;
                let under = self.deeper(Self::argument)?;
                Ok(Tree::Quotient(Box::new(over), Box::new(under)))
            }
            "sqrt" => self.root(),
            "cbrt" => Ok(Tree::Root(3, Box::new(self.deeper(Self::value)?))),
            "binom" => {
                let parts = vec![self.deeper(Self::argument)?, self.deeper(Self::argument)?];
                Ok(Tree::Call("binom".into(), parts))
            }
            "pi" => Ok(Tree::Pi),
            "infty" => Ok(Tree::Infinity),
            "imath" => Ok(Tree::Imaginary),
            "emptyset" => Ok(Tree::Set(Vec::new())),
            "abs" => Ok(Tree::Call("abs".into(), self.arguments()?)),
            "mathbb" => match self.index()?.as_str() {
                "R" => Ok(Tree::Reals),
                other => Ok(Tree::Symbol(format!("\\mathbb {other}"))),
            },
            "langle" => self.angled(),
            "lfloor" => self.enclosed("floor", "rfloor"),
            "lceil" => self.enclosed("ceil", "rceil"),
            "begin" => self.matrix(),
            _ if FUNCTIONS.contains(&name) => self.function(name),
            _ if SYMBOLS.contains(&name) => Ok(Tree::Symbol(format!("\\{name}"))),
            _ if ACCENTS.contains(&name) => Ok(Tree::Symbol(format!("\\{name} {}", self.index()?))),
            _ => Err(Stop::Beyond),
        }
    }

    /// The argument of `\frac`: what braces hold, or a single digit, letter or command.
    fn argument(&mut self) -> Result<Tree, Stop> {
        let Some(Kind::Number(digits, power)) = self.peek().cloned() else { return self.value() };
        let (first, rest) = digits.split_at(1);
        if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.value();
        }
        self.tokens[self.at] = Token { kind: Kind::Number(rest.to_string(), power), spaced: false };
        Ok(Tree::Number(literal(first, None)?))
    }

    fn root(&mut self) -> Result<Tree, Stop> {
        let mut order = 2;
        if self.take_sign('[') {
            let Some(Kind::Number(digits, None)) = self.peek().cloned() else { return Err(Stop::Beyond) };
            order = digits.parse().ok().filter(|order| (1..=64).contains(order)).ok_or(Stop::TooLarge)?;
            self.at += 1;
            self.expect(']')?;
        }
        Ok(Tree::Root(order, Box::new(self.deeper(Self::value)?)))
    }

    fn absolute(&mut self) -> Result<Tree, Stop> {
        self.bars += 1;
        let inside = self.deeper(Self::sum);
        self.bars -= 1;
        self.expect('|')?;
        Ok(Tree::Call("abs".into(), vec![inside?]))
    }

    fn enclosed(&mut self, name: &str, close: &str) -> Result<Tree, Stop> {
        let inside = self.deeper(Self::sum)?;
        if self.take_command(close) { Ok(Tree::Call(name.into(), vec![inside])) } else { Err(Stop::Beyond) }
    }

    fn angled(&mut self) -> Result<Tree, Stop> {
        let inside = self.deeper(Self::lists)?;
        match (inside, self.take_command("rangle")) {
            (Tree::List(entries), true) => Ok(Tree::Group('(', ')', entries)),
            _ => Err(Stop::Beyond),
        }
    }

    /// Arguments in brackets.
    fn arguments(&mut self) -> Result<Vec<Tree>, Stop> {
        let open = match self.peek() {
            Some(Kind::Sign(open @ ('(' | '[' | '{'))) => *open,
            _ => return Err(Stop::Beyond),
        };
        self.at += 1;
        Ok(match if open == '{' { self.braced()? } else { self.bracketed(open)? } {
            Tree::Group('(', ')', entries) | Tree::List(entries) => entries,
            value => vec![value],
        })
    }

    /// A named function with its base, its power and its argument.
    fn function(&mut self, name: &str) -> Result<Tree, Stop> {
        let base = if self.take_sign('_') { Some(self.deeper(Self::value)?) } else { None };
        let power = if self.take_sign('^') { Some(self.exponent()?) } else { None };
        let arguments = self.deeper(|parser| match parser.peek() {
            Some(Kind::Sign('(' | '[' | '{')) => parser.arguments(),
            _ => Ok(vec![parser.open_argument()?]),
        })?;
        let inverse = power.as_ref().is_some_and(is_minus_one) && matches!(name, "sin" | "cos" | "tan");
        let call = match (name, base) {
            _ if inverse => Tree::Call(format!("arc{name}"), arguments),
            ("log", Some(base)) => Tree::Call("log".into(), [vec![base], arguments].concat()),
            (_, Some(_)) => return Err(Stop::Beyond),
            ("log" | "lg", None) => Tree::Call("log".into(), [vec![Tree::integer(10)], arguments].concat()),
            ("exp", None) => Tree::Power(Box::new(Tree::Euler), Box::new(one(arguments)?)),
            (name, None) => Tree::Call(name.into(), arguments),
        };
        Ok(match power.filter(|_| !inverse) {
            Some(power) => Tree::Power(Box::new(call), Box::new(power)),
            None => call,
        })
    }

    /// An argument without brackets: factors side by side, up to a sign, a bracket or the next function.
    fn open_argument(&mut self) -> Result<Tree, Stop> {
        let mut value = self.factor()?;
        while self.starts_factor() && !self.starts_next_function() {
            value = times(value, self.factor()?);
        }
        // `\sin \pi/6` means the sine of π/6.
        if self.is_sign('/') && matches!(self.ahead(1), Some(Kind::Number(..))) {
            self.at += 1;
            value = Tree::Quotient(Box::new(value), Box::new(self.factor()?));
        }
        Ok(value)
    }

    fn starts_next_function(&self) -> bool {
        match self.peek() {
            Some(Kind::Command(name)) => FUNCTIONS.contains(&name.as_str()),
            Some(Kind::Word(word, _)) => is_function(word),
            Some(Kind::Sign(_)) => true,
            _ => false,
        }
    }
}

fn starts_value(name: &str) -> bool {
    let known =
        ["frac", "sqrt", "cbrt", "binom", "pi", "infty", "imath", "lfloor", "lceil", "langle", "begin", "mathbb"];
    known.contains(&name) || [&FUNCTIONS[..], &SYMBOLS, &ACCENTS].iter().any(|names| names.contains(&name))
}

fn times(left: Tree, right: Tree) -> Tree {
    match left {
        Tree::Product(mut factors) => {
            factors.push(right);
            Tree::Product(factors)
        }
        left => Tree::Product(vec![left, right]),
    }
}

fn marked(value: Tree, mark: char) -> Result<Tree, Stop> {
    match mark {
        '!' => Ok(Tree::Call("factorial".into(), vec![value])),
        '%' => Ok(Tree::Percent(Box::new(value))),
        _ => primed(value),
    }
}

fn primed(value: Tree) -> Result<Tree, Stop> {
    match value {
        Tree::Symbol(name) => Ok(Tree::Symbol(name + "'")),
        _ => Err(Stop::Beyond),
    }
}

fn is_minus_one(tree: &Tree) -> bool {
    match tree {
        Tree::Negative(inner) => matches!(&**inner, Tree::Number(number) if number.value.is_one()),
        _ => false,
    }
}

fn one(mut arguments: Vec<Tree>) -> Result<Tree, Stop> {
    if arguments.len() == 1 { Ok(arguments.swap_remove(0)) } else { Err(Stop::Beyond) }
}

/// The base that an index names.
fn base_of(index: &str) -> Option<u32> {
    let names = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let named = names.iter().position(|name| *name == index.to_lowercase()).map(|at| at as u32 + 2);
    named.or_else(|| index.parse().ok())
}
