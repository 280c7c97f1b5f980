//! The parser that pest derives from the grammar, and a human name for each of its rules.

use pest_derive::Parser;

/// The parser of `grammar/srlm.pest`.
#[derive(Parser)]
#[grammar = "grammar/srlm.pest"]
pub(super) struct Grammar;

/// What to call a rule in "expected …"; `None` for what a reader need not hear of.
/// Matched without a wildcard, so that a new rule cannot be forgotten.
pub(super) fn name(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::EOI => Some("the end of the item"),
        Rule::WHITESPACE | Rule::file | Rule::item_only | Rule::expr_only => None,
        Rule::ident_start | Rule::ident_char | Rule::keyword | Rule::str_part | Rule::str_end | Rule::opt_mark => None,
        Rule::colon | Rule::a_colon => Some("`:`"),
        Rule::equals | Rule::an_equals => Some("`=`"),
        Rule::brace | Rule::a_brace => Some("`{`"),
        Rule::end_brace | Rule::an_end_brace => Some("`}`"),
        Rule::end_paren | Rule::an_end_paren => Some("`)`"),
        Rule::end_bracket | Rule::an_end_bracket => Some("`]`"),
        Rule::item => Some("an item such as `let` or `pipeline`"),
        Rule::use_item | Rule::import_list => Some("an import"),
        Rule::param_item | Rule::let_item | Rule::recipe_item | Rule::suite_item => Some("a definition"),
        Rule::pipeline_item | Rule::sweep_item | Rule::compare_item | Rule::profile_item => Some("a definition"),
        Rule::where_clause => Some("`where`"),
        Rule::over => Some("`over NAME in …`"),
        Rule::skip => Some("`skip when …`"),
        Rule::params | Rule::param => Some("parameters"),
        Rule::block => Some("a block `{ … return … }`"),
        Rule::binding => Some("`NAME = …`"),
        Rule::ret => Some("`return …`"),
        Rule::ty | Rule::ty_atom | Rule::record_type => Some("a type"),
        Rule::expr | Rule::if_expr | Rule::pipe | Rule::chain | Rule::operand | Rule::primary => Some("a value"),
        Rule::prefix | Rule::neg | Rule::postfix | Rule::named => Some("a value"),
        Rule::infix | Rule::sign | Rule::change => Some("an operator"),
        Rule::call | Rule::arg | Rule::index | Rule::member | Rule::suffix => Some("an argument list"),
        Rule::list | Rule::comp => Some("a list"),
        Rule::record => Some("a record `{ name: value }`"),
        Rule::field => Some("a field `name: value`"),
        Rule::spread => Some("`...record`"),
        Rule::path | Rule::ident => Some("a name"),
        Rule::number | Rule::quantity | Rule::unit => Some("a number"),
        Rule::bool | Rule::none => Some("a value"),
        Rule::string | Rule::str_text | Rule::esc | Rule::interp => Some("a text in double quotes"),
        Rule::kw_use | Rule::kw_as | Rule::kw_param | Rule::kw_where | Rule::kw_let => Some(keyword_name(rule)),
        Rule::kw_recipe | Rule::kw_suite | Rule::kw_pipeline | Rule::kw_sweep => Some(keyword_name(rule)),
        Rule::kw_over | Rule::kw_in | Rule::kw_skip | Rule::kw_when => Some(keyword_name(rule)),
        Rule::kw_compare | Rule::kw_profile | Rule::kw_return | Rule::kw_if => Some(keyword_name(rule)),
        Rule::kw_then | Rule::kw_else | Rule::kw_for | Rule::kw_with | Rule::kw_not => Some(keyword_name(rule)),
    }
}

fn keyword_name(rule: Rule) -> &'static str {
    match rule {
        Rule::kw_use => "`use`",
        Rule::kw_as => "`as`",
        Rule::kw_param => "`param`",
        Rule::kw_where => "`where`",
        Rule::kw_let => "`let`",
        Rule::kw_recipe => "`recipe`",
        Rule::kw_suite => "`suite`",
        Rule::kw_pipeline => "`pipeline`",
        Rule::kw_sweep => "`sweep`",
        Rule::kw_over => "`over`",
        Rule::kw_in => "`in`",
        Rule::kw_skip => "`skip`",
        Rule::kw_when => "`when`",
        Rule::kw_compare => "`compare`",
        Rule::kw_profile => "`profile`",
        Rule::kw_return => "`return`",
        Rule::kw_if => "`if`",
        Rule::kw_then => "`then`",
        Rule::kw_else => "`else`",
        Rule::kw_for => "`for`",
        Rule::kw_with => "`with`",
        Rule::kw_not => "`not`",
        _ => "a keyword",
    }
}
