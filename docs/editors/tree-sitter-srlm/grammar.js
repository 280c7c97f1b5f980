// The tree-sitter grammar of `.srlm` files. `grammar/srlm.pest` is the one that the program itself reads; a test holds
// this one against every program in the repository. After a change: `tree-sitter generate`, and commit `src/`.

const PREC = {
  if: 1, pipe: 2, join: 3, or: 4, and: 5, not: 6, compare: 7, range: 8, sum: 9, product: 10, negate: 11, with: 12, postfix: 13,
};

const list = (rule) => optional(seq(rule, repeat(seq(",", rule)), optional(",")));

module.exports = grammar({
  name: "srlm",

  word: ($) => $.identifier,

  extras: ($) => [/\s/, "\uFEFF", $.doc_comment, $.comment],

  supertypes: ($) => [$._item, $._expression, $._type],

  rules: {
    source_file: ($) => repeat($._item),

    comment: () => token(/#[^\n]*/),
    doc_comment: () => token(prec(1, /##[^\n]*/)),

    // ---- items ----
    _item: ($) =>
      choice(
        $.use_item, $.param_item, $.let_item, $.recipe_item, $.suite_item, $.pipeline_item, $.sweep_item,
        $.compare_item, $.profile_item,
      ),

    use_item: ($) =>
      seq(
        "use",
        choice(field("file", $.string), $.identifier),
        optional($._use_tail),
        optional(seq("as", field("alias", $.identifier))),
      ),
    // Behind a dot stands a name or the list: told apart one token later.
    _use_tail: ($) => seq(".", choice(seq($.identifier, optional($._use_tail)), $.import_list)),
    import_list: ($) => seq("{", $.identifier, repeat(seq(",", $.identifier)), optional(","), "}"),
    path: ($) => prec.left(seq($.identifier, repeat(seq(".", $.identifier)))),

    param_item: ($) =>
      seq(
        "param", field("name", $.identifier), ":", field("type", $._type),
        optional(seq("=", field("default", $._expression))),
        optional(seq("where", field("condition", $._expression))),
      ),
    let_item: ($) =>
      seq("let", field("name", $.identifier), optional(seq(":", field("type", $._type))), "=", field("value", $._expression)),
    recipe_item: ($) =>
      seq(
        "recipe", field("name", $.identifier), $.parameters, optional(seq("->", field("returns", $._type))),
        choice(seq("=", field("value", $._expression)), $.block),
      ),
    pipeline_item: ($) =>
      seq(
        "pipeline", field("name", $.identifier), optional($.parameters),
        choice(seq("=", field("value", $._expression)), $.block),
      ),
    suite_item: ($) => seq("suite", field("name", $.identifier), $.record),
    compare_item: ($) => seq("compare", field("name", $.identifier), $.record),
    profile_item: ($) => seq("profile", field("name", $.identifier), $.record),
    sweep_item: ($) =>
      seq(
        "sweep", field("name", $.identifier), "{",
        repeat1($.axis), repeat($.skip), repeat($.binding), $.return, "}",
      ),

    axis: ($) => seq("over", field("name", $.identifier), "in", field("values", $._expression)),
    skip: ($) => seq("skip", "when", field("condition", $._expression)),
    parameters: ($) => seq("(", list($.parameter), ")"),
    parameter: ($) =>
      seq(field("name", $.identifier), ":", field("type", $._type), optional(seq("=", field("default", $._expression)))),
    block: ($) => seq("{", repeat($.binding), $.return, "}"),
    binding: ($) =>
      seq(field("name", $.identifier), optional(seq(":", field("type", $._type))), "=", field("value", $._expression)),
    return: ($) => seq("return", field("value", $._expression)),

    // ---- types ----
    _type: ($) => choice($.type_name, $.list_type, $.text_type, $.record_type, $.optional_type, $.function_type),
    type_name: ($) => $.path,
    list_type: ($) => seq("[", $._type, "]"),
    text_type: ($) => prec.left(seq($.string, repeat(seq("|", $.string)))),
    record_type: ($) => seq("{", repeat(seq($.field_type, optional(","))), "}"),
    field_type: ($) => seq(field("name", $.identifier), ":", field("type", $._type)),
    optional_type: ($) => prec(2, seq($._type, "?")),
    function_type: ($) => prec.right(1, seq($._type, "->", $._type)),

    // ---- expressions ----
    _expression: ($) =>
      choice(
        $.if_expression, $.pipe, $.join, $.or, $.and, $.not, $.comparison, $.range, $.sum, $.product, $.negation,
        $.with, $.call, $.index, $.member, $.construct, $.record, $.list, $.comprehension, $.parenthesized,
        $.identifier, $.number, $.quantity, $.string, $.boolean, $.none,
      ),

    if_expression: ($) =>
      prec.right(PREC.if, seq("if", $._expression, "then", $._expression, "else", $._expression)),
    pipe: ($) => prec.left(PREC.pipe, seq($._expression, "|>", $._expression)),
    join: ($) => prec.left(PREC.join, seq($._expression, ">>", $._expression)),
    or: ($) => prec.left(PREC.or, seq($._expression, "or", $._expression)),
    and: ($) => prec.left(PREC.and, seq($._expression, "and", $._expression)),
    not: ($) => prec(PREC.not, seq("not", $._expression)),
    comparison: ($) =>
      prec.left(
        PREC.compare,
        seq($._expression, field("operator", choice("==", "!=", "<=", ">=", "<", ">", "in")), $._expression),
      ),
    range: ($) =>
      prec.left(PREC.range, seq($._expression, "..", $._expression, optional(seq("step", $._expression)))),
    sum: ($) => prec.left(PREC.sum, seq($._expression, field("operator", choice("+", "-")), $._expression)),
    product: ($) =>
      prec.left(PREC.product, seq($._expression, field("operator", choice("*", "/", "mod")), $._expression)),
    negation: ($) => prec(PREC.negate, seq("-", $._expression)),
    with: ($) => prec.left(PREC.with, seq($._expression, "with", $.record)),

    call: ($) => prec.left(PREC.postfix, seq(field("function", $._expression), $.arguments)),
    arguments: ($) => seq("(", list(choice($.spread, $.argument, $._expression)), ")"),
    argument: ($) => seq(field("name", $.identifier), ":", field("value", $._expression)),
    index: ($) => prec.left(PREC.postfix, seq($._expression, "[", $._expression, "]")),
    member: ($) => prec.left(PREC.postfix, seq($._expression, ".", field("name", $.identifier))),

    construct: ($) => prec(PREC.postfix, seq(field("kind", $.identifier), $.record)),
    record: ($) => seq("{", repeat(seq(choice($.spread, $.field), optional(","))), "}"),
    field: ($) => seq(field("name", choice($.identifier, $.string)), ":", field("value", $._expression)),
    spread: ($) => prec(PREC.with, seq("...", $._expression)),
    list: ($) => seq("[", list($._expression), "]"),
    comprehension: ($) =>
      seq(
        "[", $._expression, "for", field("name", $.identifier), "in", $._expression,
        optional(seq("if", $._expression)), "]",
      ),
    parenthesized: ($) => seq("(", $._expression, ")"),

    // ---- tokens ----
    identifier: () => /[A-Za-z_][A-Za-z0-9_]*/,
    number: () => /[0-9][0-9_]*(\.[0-9]+)?(e[+-]?[0-9]+)?/,
    quantity: ($) => seq($.number, $.unit),
    unit: () => token.immediate(prec(1, /%|[A-Za-z]+(\/[A-Za-z]+)?/)),
    boolean: () => choice("true", "false"),
    none: () => "none",
    string: ($) =>
      seq('"', repeat(choice($.text, $.escape, $.interpolation, alias($._dollar, $.text))), token.immediate('"')),
    // A sign that would begin a comment elsewhere is text here.
    text: () => token.immediate(prec(2, /[^"\\$\n]+/)),
    _dollar: () => token.immediate("$"),
    escape: () => token.immediate(/\\["\\nt$]/),
    interpolation: ($) => seq(token.immediate("${"), $._expression, "}"),
  },
});
