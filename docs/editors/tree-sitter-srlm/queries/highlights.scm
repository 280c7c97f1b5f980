; Later patterns win over earlier ones.

(identifier) @variable
(type_name (path (identifier) @type))
(use_item (identifier) @module)
(import_list (identifier) @variable)
(use_item alias: (identifier) @module)

(comment) @comment
(doc_comment) @comment.documentation

(string) @string
(text) @string
(escape) @string.escape
(interpolation ["${" "}"] @punctuation.special)
(number) @number
(quantity (number) @number)
(unit) @type.builtin
(boolean) @constant.builtin
(none) @constant.builtin

(let_item name: (identifier) @variable)
(param_item name: (identifier) @variable.parameter)
(recipe_item name: (identifier) @function)
(pipeline_item name: (identifier) @function)
(sweep_item name: (identifier) @function)
(suite_item name: (identifier) @type)
(compare_item name: (identifier) @function)
(profile_item name: (identifier) @namespace)
(axis name: (identifier) @variable.parameter)
(parameter name: (identifier) @variable.parameter)
(argument name: (identifier) @property)
(field name: (identifier) @property)
(field_type name: (identifier) @property)
(member name: (identifier) @property)
(construct kind: (identifier) @constructor)
(call function: (identifier) @function.call)
(call function: (member name: (identifier) @function.call))

[
  "use" "as" "param" "where" "let" "recipe" "suite" "pipeline" "sweep" "over" "in" "skip" "when" "compare" "profile"
  "return" "if" "then" "else" "for" "with" "and" "or" "not" "step" "mod"
] @keyword

["|>" ">>" "->" "==" "!=" "<=" ">=" "<" ">" "+" "-" "*" "/" ".." "..." "=" "?" "|"] @operator
["(" ")" "[" "]" "{" "}"] @punctuation.bracket
["," ":" "."] @punctuation.delimiter
