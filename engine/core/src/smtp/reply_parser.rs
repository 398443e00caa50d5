//! reply_parser
