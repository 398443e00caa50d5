//! Cuts a selector into tokens.

use std::ops::Range;

use winnow::ModalResult;
use winnow::Parser;
use winnow::ascii::multispace0;
use winnow::combinator::alt;
use winnow::combinator::delimited;
use winnow::combinator::preceded;
use winnow::combinator::repeat;
use winnow::stream::LocatingSlice;
use winnow::token::any;
use winnow::token::none_of;
use winnow::token::take_while;

use crate::selector::error::SelectorError;
use crate::selector::schema::Op;
use crate::selector::value::is_plain;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Quoted(String),
    Op(Op),
    Not,
    Open,
    Close,
    Comma,
}

/// A token, and where it stands.
pub(super) type Placed = (Token, Range<usize>);

type Input<'a> = LocatingSlice<&'a str>;

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, SelectorError> {
    let mut input = LocatingSlice::new(text);
    let placed = delimited(multispace0, token.with_span(), multispace0);
    let found: ModalResult<Vec<Placed>> = repeat(0.., placed).parse_next(&mut input);
    let rest: &str = input.as_ref();
    let at = text.len() - rest.len();
    match (found, rest.chars().next()) {
        (Ok(tokens), None) => Ok(tokens),
        (_, Some('"')) => {
            let message = "the quotes are not closed";
            Err(SelectorError::new(at..text.len(), message, "end the text with a \""))
        }
        (_, Some(wrong)) => {
            let message = format!("{wrong:?} means nothing here");
            let hint = "put a text with such characters into quotes";
            Err(SelectorError::new(at..at + wrong.len_utf8(), message, hint))
        }
        // Only spaces.
        (Err(_), None) => Ok(Vec::new()),
    }
}

fn token(input: &mut Input<'_>) -> ModalResult<Token> {
    alt((
        alt((
            "!=".value(Token::Op(Op::Unequal)),
            "!~".value(Token::Op(Op::Lacks)),
            "<=".value(Token::Op(Op::AtMost)),
            ">=".value(Token::Op(Op::AtLeast)),
            "<".value(Token::Op(Op::Less)),
            ">".value(Token::Op(Op::Greater)),
            "=".value(Token::Op(Op::Equal)),
            "~".value(Token::Op(Op::Contains)),
        )),
        "!".value(Token::Not),
        "(".value(Token::Open),
        ")".value(Token::Close),
        ",".value(Token::Comma),
        quoted.map(Token::Quoted),
        take_while(1.., is_plain).map(|word: &str| Token::Word(word.to_owned())),
    ))
    .parse_next(input)
}

fn quoted(input: &mut Input<'_>) -> ModalResult<String> {
    let escaped = preceded('\\', any);
    let text = repeat(0.., alt((escaped, none_of(['"', '\\']))));
    delimited('"', text.fold(String::new, push), '"').parse_next(input)
}

fn push(mut text: String, c: char) -> String {
    text.push(c);
    text
}
