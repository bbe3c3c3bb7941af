{#
    An e-mail as it is compared: lower case, without the white space around it; null when empty.
    The white space is all of Unicode's, which trim() alone does not take away.
#}
{% macro comparable_email(expression) -%}
    nullif(lower(regexp_replace({{ expression }}, '^[\s\x0b\x1c-\x1f\x{85}\pZ]+|[\s\x0b\x1c-\x1f\x{85}\pZ]+$', '', 'g')), '')
{%- endmacro %}
