//! Makes an expression of tokens.

use std::ops::Range;

use crate::selector::error::SelectorError;
use crate::selector::expr::Expr;
use crate::selector::lexer;
use crate::selector::lexer::Placed;
use crate::selector::lexer::Token;
use crate::selector::limits::DEPTH_MAX;
use crate::selector::limits::OCTETS_MAX;
use crate::selector::limits::TESTS_MAX;
use crate::selector::limits::VALUES_MAX;
use crate::selector::schema::FieldSpec;
use crate::selector::schema::Kind;
use crate::selector::schema::Op;
use crate::selector::schema::Schema;
use crate::selector::test::Test;
use crate::selector::value::Value;

/// Fields that an error names.
const FIELDS_SHOWN_MAX: usize = 20;

pub(super) fn parse(text: &str, schema: &Schema<'_>) -> Result<Expr, SelectorError> {
    if text.len() > OCTETS_MAX {
        let message = format!("a selector has at most {OCTETS_MAX} octets");
        let end = text.floor_char_boundary(OCTETS_MAX);
        return Err(SelectorError::new(end..text.len(), message, "say less"));
    }
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser { tokens, place: 0, end: text.len(), tests: 0, schema };
    if parser.tokens.is_empty() {
        return Ok(Expr::Everything);
    }
    let expr = parser.any(0)?;
    match parser.next() {
        None => Ok(expr),
        Some((Token::Close, at)) => {
            Err(SelectorError::new(at, "there is no ( for this )", "take it away"))
        }
        Some((_, at)) => {
            Err(SelectorError::new(at, "a word is missing before this", "join with and, or"))
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Placed>,
    place: usize,
    end: usize,
    tests: usize,
    schema: &'a Schema<'a>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.place).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Placed> {
        let next = self.tokens.get(self.place).cloned();
        self.place += usize::from(next.is_some());
        next
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.place += usize::from(is);
        is
    }

    fn take(&mut self, token: &Token) -> bool {
        let is = self.peek() == Some(token);
        self.place += usize::from(is);
        is
    }

    fn any(&mut self, depth: usize) -> Result<Expr, SelectorError> {
        let mut any = vec![self.every(depth)?];
        while self.take_word("or") {
            any.push(self.every(depth)?);
        }
        Ok(single(any, Expr::Or))
    }

    fn every(&mut self, depth: usize) -> Result<Expr, SelectorError> {
        let mut every = vec![self.one(depth)?];
        while self.take_word("and") {
            every.push(self.one(depth)?);
        }
        Ok(single(every, Expr::And))
    }

    fn one(&mut self, depth: usize) -> Result<Expr, SelectorError> {
        if depth > DEPTH_MAX {
            let message = format!("parentheses and negations nest at most {DEPTH_MAX} deep");
            return Err(SelectorError::new(self.here(), message, "say it more simply"));
        }
        if self.take(&Token::Not) || self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        let open = self.here();
        if self.take(&Token::Open) {
            let inner = self.any(depth + 1)?;
            if !self.take(&Token::Close) {
                return Err(SelectorError::new(open, "this ( is not closed", "add a )"));
            }
            return Ok(inner);
        }
        if self.take_word("all") {
            return Ok(Expr::Everything);
        }
        self.test()
    }

    /// Where the next token stands.
    fn here(&self) -> Range<usize> {
        self.tokens.get(self.place).map_or(self.end..self.end, |(_, at)| at.clone())
    }

    fn test(&mut self) -> Result<Expr, SelectorError> {
        let number = self.tests;
        self.tests += 1;
        if self.tests > TESTS_MAX {
            let message = format!("a selector has at most {TESTS_MAX} tests");
            let hint = "use a list: campaign=(a, b)";
            return Err(SelectorError::new(self.here(), message, hint));
        }
        let (word, bare, at) = match self.next() {
            Some((Token::Word(word), at)) => (word, false, at),
            Some((Token::Quoted(word), at)) => (word, true, at),
            Some((_, at)) => {
                let hint = "write FIELD=VALUE, as in domain=example.org";
                return Err(SelectorError::new(at, "a field is missing here", hint));
            }
            None => {
                let hint = "write FIELD=VALUE, as in domain=example.org";
                return Err(SelectorError::new(self.here(), "something is missing here", hint));
            }
        };
        let op = match self.peek() {
            Some(Token::Op(op)) if !bare => *op,
            _ => return self.bare(number, &word, at),
        };
        let (place, field) =
            self.schema.find(&word).ok_or_else(|| self.unknown(&word, at.clone()))?;
        let (_, op_at) = self.next().unwrap_or((Token::Op(op), at));
        if !op.fits(field.kind()) {
            return Err(misfit(&field, op, op_at));
        }
        let values = self.values(&field)?;
        let name = field.name().into();
        Ok(Expr::Test(Test { field: Some(place), name, number, op, values }))
    }

    fn bare(&self, number: usize, word: &str, at: Range<usize>) -> Result<Expr, SelectorError> {
        if !self.schema.bare {
            let message = format!("{word} is not compared with anything");
            let known = self.schema.find(word).is_some();
            let hint = match known {
                true => format!("write {word}=VALUE"),
                false => "write FIELD=VALUE, as in domain=example.org".to_owned(),
            };
            return Err(SelectorError::new(at, message, hint));
        }
        let values = vec![Value::text(word)];
        let (field, name) = (None, "".into());
        Ok(Expr::Test(Test { field, name, number, op: Op::Contains, values }))
    }

    fn values(&mut self, field: &FieldSpec<'_>) -> Result<Vec<Value>, SelectorError> {
        let open = self.here();
        if !self.take(&Token::Open) {
            return Ok(vec![self.value(field)?]);
        }
        let mut values = vec![self.value(field)?];
        while self.take(&Token::Comma) {
            if values.len() >= VALUES_MAX {
                let message = format!("a list has at most {VALUES_MAX} values");
                return Err(SelectorError::new(self.here(), message, "use * or two lists"));
            }
            values.push(self.value(field)?);
        }
        if !self.take(&Token::Close) {
            return Err(SelectorError::new(open, "this list is not closed", "add a )"));
        }
        Ok(values)
    }

    fn value(&mut self, field: &FieldSpec<'_>) -> Result<Value, SelectorError> {
        let name = field.name();
        match self.next() {
            Some((Token::Word(raw) | Token::Quoted(raw), at)) => {
                Value::number_of(&raw, field.kind()).map_err(|right| {
                    let message = format!("{raw:?} is no value for {name}");
                    SelectorError::new(at, message, format!("write {right}"))
                })
            }
            Some((_, at)) => {
                Err(SelectorError::new(at, format!("a value for {name} is missing"), ""))
            }
            None => {
                let message = format!("a value for {name} is missing");
                Err(SelectorError::new(self.here(), message, "an empty text is \"\""))
            }
        }
    }

    fn unknown(&self, word: &str, at: Range<usize>) -> SelectorError {
        let fields = self.schema.fields();
        let near = fields.iter().map(|field| (distance(word, field.name()), field.name())).min();
        let all: Vec<_> = fields.iter().take(FIELDS_SHOWN_MAX).map(|field| field.name()).collect();
        let hint = match near {
            Some((far, name)) if far <= 2 => format!("did you mean {name}?"),
            _ => format!("fields: {}", all.join(", ")),
        };
        SelectorError::new(at, format!("there is no field {word}"), hint)
    }
}

fn misfit(field: &FieldSpec<'_>, op: Op, at: Range<usize>) -> SelectorError {
    let (name, op) = (field.name(), op.text());
    let (message, hint) = match field.kind() {
        Kind::Text => {
            (format!("{name} is a text: {op} does not compare texts"), "use = != ~ or !~")
        }
        _ => (format!("{name} is a number: {op} is for texts"), "use = != < <= > or >="),
    };
    SelectorError::new(at, message, hint)
}

fn single(mut many: Vec<Expr>, of: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match many.pop() {
        Some(only) if many.is_empty() => only,
        Some(last) => {
            many.push(last);
            of(many)
        }
        None => Expr::Everything,
    }
}

/// How many characters to change, add or take away (Levenshtein); words are short.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (above, left) in a.chars().take(64).enumerate() {
        let mut diagonal = above;
        let mut last = above + 1;
        if let Some(first) = row.first_mut() {
            *first = last;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = (diagonal + usize::from(left != right)).min(*cell + 1).min(last + 1);
            diagonal = std::mem::replace(cell, here);
            last = here;
        }
    }
    row.last().copied().unwrap_or_default()
}
