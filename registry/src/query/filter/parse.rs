//! Text to syntax tree. Every error carries the character it was found at;
//! nothing here depends on which fields exist.

use super::syntax::{Comparison, Expression, KEYWORDS, Literal, Operator, is_path_char};
use super::{FILTER_CHARS_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX, FilterError};

/// `None` when the text has nothing but white space.
pub(super) fn parse(text: &str) -> Result<Option<Expression>, FilterError> {
    let chars: Vec<char> = text.chars().take(FILTER_CHARS_MAX + 1).collect();
    if chars.len() > FILTER_CHARS_MAX {
        return Err(FilterError::new(
            FILTER_CHARS_MAX + 1,
            format!(
                "the filter is longer than {FILTER_CHARS_MAX} characters; split it into several requests"
            ),
        ));
    }
    let mut parser = Parser { chars, at: 0, depth: 0, terms: 0 };
    parser.skip_space();
    if parser.peek().is_none() {
        return Ok(None);
    }
    let expression = parser.all()?;
    match parser.peek() {
        None => Ok(Some(expression)),
        Some(')') => Err(parser.error("no '(' is open for this ')'; remove it")),
        Some(c) => Err(parser.error(format!("unexpected {c:?}; join comparisons with AND or OR"))),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    terms: usize,
}

/// The next word, without taking it.
enum Next {
    Nothing,
    Close,
    And,
    Or,
    Term,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn position(&self) -> usize {
        self.at + 1
    }

    fn error(&self, problem: impl Into<String>) -> FilterError {
        FilterError::new(self.position(), problem)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Whether `word` stands here, alone.
    fn at_keyword(&self, word: &str) -> bool {
        let length = word.chars().count();
        self.chars[self.at..].iter().copied().take(length).eq(word.chars())
            && self.chars.get(self.at + length).is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')'))
    }

    fn next(&mut self) -> Next {
        self.skip_space();
        match self.peek() {
            None => Next::Nothing,
            Some(')') => Next::Close,
            Some(_) if self.at_keyword("AND") => Next::And,
            Some(_) if self.at_keyword("OR") => Next::Or,
            Some(_) => Next::Term,
        }
    }

    /// Alternatives joined by AND or by nothing but space.
    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.any()?];
        loop {
            match self.next() {
                Next::Nothing | Next::Close => break,
                Next::And => self.at += "AND".len(),
                Next::Or | Next::Term => {}
            }
            parts.push(self.any()?);
        }
        Ok(one_or(parts, Expression::All))
    }

    /// Terms joined by OR.
    fn any(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.term()?];
        while matches!(self.next(), Next::Or) {
            self.at += "OR".len();
            parts.push(self.term()?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn term(&mut self) -> Result<Expression, FilterError> {
        match self.next() {
            Next::Nothing => return Err(self.error("the filter ends where a comparison is expected")),
            Next::Close => return Err(self.error("expected a comparison before this ')'")),
            Next::And => return Err(self.error("expected a comparison before AND")),
            Next::Or => return Err(self.error("expected a comparison before OR")),
            Next::Term => {}
        }
        let negated = if self.at_keyword("NOT") {
            self.at += "NOT".len();
            true
        } else if self.peek() == Some('-') {
            self.at += 1;
            true
        } else {
            false
        };
        if !negated {
            return self.simple();
        }
        self.skip_space();
        if self.at_keyword("NOT") || self.peek() == Some('-') {
            return Err(self.error("a negation of a negation; leave out both, or write NOT (NOT ...)"));
        }
        Ok(Expression::Not(Box::new(self.simple()?)))
    }

    fn simple(&mut self) -> Result<Expression, FilterError> {
        if self.peek() != Some('(') {
            return self.comparison().map(Expression::Compare);
        }
        if self.depth == FILTER_DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {FILTER_DEPTH_MAX} levels; write it flatter")));
        }
        let opened = self.position();
        self.at += 1;
        self.depth += 1;
        let inner = self.all()?;
        self.skip_space();
        if self.peek() != Some(')') {
            return Err(FilterError::new(opened, "this '(' is never closed; add ')'"));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(self.error(format!("more than {FILTER_TERMS_MAX} comparisons; split the filter")));
        }
        let path_position = self.position();
        let start = self.at;
        let path = self.path()?;
        let written: String = self.chars[start..self.at].iter().collect();
        self.skip_space();
        let operator_position = self.position();
        let Some(operator) = self.operator()? else {
            return Err(FilterError::new(path_position, bare_word(&written)));
        };
        self.skip_space();
        let literal = self.literal(operator)?;
        Ok(Comparison { path, path_position, operator, operator_position, literal })
    }

    fn path(&mut self) -> Result<Vec<String>, FilterError> {
        let mut path = vec![self.segment()?];
        while self.peek() == Some('.') {
            self.at += 1;
            path.push(self.segment()?);
        }
        Ok(path)
    }

    fn segment(&mut self) -> Result<String, FilterError> {
        if matches!(self.peek(), Some('"' | '\'')) {
            let literal = self.quoted()?;
            if literal.wild {
                return Err(FilterError::new(
                    literal.position,
                    "a name takes no '*'; write \\* for the sign",
                ));
            }
            return Ok(literal.text);
        }
        let start = self.at;
        while self.peek().is_some_and(is_path_char) {
            self.at += 1;
        }
        if self.at > start {
            return Ok(self.chars[start..self.at].iter().collect());
        }
        Err(match self.peek() {
            None => self.error("the filter ends where a field name is expected"),
            Some(c) => self.error(format!("expected a field name, found {c:?}")),
        })
    }

    fn operator(&mut self) -> Result<Option<Operator>, FilterError> {
        let second = self.chars.get(self.at + 1).copied();
        let (operator, length) = match (self.peek(), second) {
            (Some('='), Some('=')) => return Err(self.error("'==' is no operator; write '='")),
            (Some('='), _) => (Operator::Equal, 1),
            (Some('!'), Some('=')) => (Operator::NotEqual, 2),
            (Some('!'), _) => return Err(self.error("'!' alone is no operator; write '!=' or NOT")),
            (Some('<'), Some('=')) => (Operator::LessEqual, 2),
            (Some('<'), _) => (Operator::Less, 1),
            (Some('>'), Some('=')) => (Operator::GreaterEqual, 2),
            (Some('>'), _) => (Operator::Greater, 1),
            (Some(':'), _) => (Operator::Has, 1),
            _ => return Ok(None),
        };
        self.at += length;
        Ok(Some(operator))
    }

    fn literal(&mut self, operator: Operator) -> Result<Literal, FilterError> {
        if matches!(self.peek(), Some('"' | '\'')) {
            return self.quoted();
        }
        let position = self.position();
        let start = self.at;
        // A bare value may hold what a time or a source id holds, so that those need no quotes.
        while self.peek().is_some_and(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | '\'' | ',')) {
            if matches!(self.peek(), Some('=' | '<' | '>' | '!')) {
                return Err(self.error("an operator inside a value; put the value in quotes"));
            }
            self.at += 1;
        }
        let mut text: String = self.chars[start..self.at].iter().collect();
        if text.is_empty() {
            return Err(FilterError::new(
                position,
                format!("expected a value after '{}'; write \"\" for the empty text", operator.sign()),
            ));
        }
        if KEYWORDS.contains(&text.as_str()) {
            return Err(FilterError::new(
                position,
                format!("expected a value, found {text}; quote it if it is one"),
            ));
        }
        let wild = text.ends_with('*');
        if wild {
            text.pop();
        }
        if let Some(star) = text.chars().position(|c| c == '*') {
            return Err(FilterError::new(position + star, STAR_INSIDE));
        }
        Ok(Literal { text, wild, position })
    }

    fn quoted(&mut self) -> Result<Literal, FilterError> {
        let position = self.position();
        let quote = self.peek();
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(FilterError::new(position, "this quote is never closed"));
            };
            if Some(c) == quote {
                self.at += 1;
                return Ok(Literal { text, wild: false, position });
            }
            match c {
                '*' if self.chars.get(self.at + 1).copied() == quote => {
                    self.at += 2;
                    return Ok(Literal { text, wild: true, position });
                }
                '*' => return Err(self.error(STAR_INSIDE)),
                '\\' => {
                    let escaped = match self.chars.get(self.at + 1) {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some(c @ ('"' | '\'' | '\\' | '*')) => *c,
                        _ => {
                            return Err(self.error("unknown escape; \\\" \\' \\\\ \\* \\n and \\t are known"));
                        }
                    };
                    text.push(escaped);
                    self.at += 2;
                }
                _ => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }
}

const STAR_INSIDE: &str =
    "'*' is understood only at the end of a value; use ':' to find text anywhere, or \\* for the sign itself";

fn one_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() == 1 { parts.swap_remove(0) } else { join(parts) }
}

fn bare_word(word: &str) -> String {
    let upper = word.to_uppercase();
    if KEYWORDS.contains(&upper.as_str()) {
        return format!("{word} is not an operator here; write {upper} between comparisons");
    }
    let word: String = word.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    format!("a word alone is not a comparison; write a field and an operator, e.g. name:\"{word}\"")
}
