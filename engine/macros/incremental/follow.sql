{#
    An input whose changes this model follows by a key: the input's column, or list of columns, that
    holds the model's `unique_key`.

        {{ '{{' }} config(unique_key='order_id') {{ '}}' }}

        select ... from {{ '{{' }} follow(ref('int_shop__orders'), 'order_id') {{ '}}' }}

    When rows of the input change, only their keys are computed again, from the rows of these keys in
    all inputs that are followed (docs/incremental.md). So no row of the model may depend on rows of
    a followed input that have another key. A change of an input that is read in another way computes
    the whole model.

    The text is the same in every run; the comment is what _of_changed_keys() finds.
#}
{% macro follow(input, column) -%}
    (select * from {{ lotus_lake._followed_rows(input, column) }})
{%- endmacro %}


{# For what stands between `from` and further conditions. #}
{% macro _followed_rows(input, column) -%}
    {{ input }} where true /* followed by {{ lotus_lake._key_columns(column) | join(", ") }} */
{%- endmacro %}


{# A key as the list of its columns, also where it is one name or none; in quotes if SQL asks for them. #}
{% macro _key_columns(key) %}
    {% set columns = [] %}
    {% for column in ([key] if key is string else key or []) %}
        {% do columns.append(column if modules.re.fullmatch("\\w+", column) else adapter.quote(column)) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}


{#
    A key as one value to compare, of a list of columns. Of one column it is the column, for which
    DuckDB skips row groups; of several an object, in which nulls are equal.
#}
{% macro _key_value(columns) -%}
    {%- if columns | length < 2 -%}
        {{ columns | join }}
    {%- else -%}
        {{ "{" }}{% for column in columns %}'k{{ loop.index }}': {{ column }}{{ ", " if not loop.last }}{% endfor %}{{ "}" }}
    {%- endif -%}
{%- endmacro %}


{% macro _followed_pattern() %}
    {{ return('("[^"]+"\\."[^"]+"\\."([^"]+)") where true /\\* followed by (\\w+(?:, \\w+)*) \\*/') }}
{% endmacro %}


{#
    The inputs that a model's SQL follows: a list of (relation, name, columns), the columns as text. One
    that it also reads in another way is not among them.
#}
{% macro _followed_inputs(sql) %}
    {% set pattern = lotus_lake._followed_pattern() %}
    {% set rest = modules.re.sub(pattern, "", sql) %}
    {% set followed = [] %}
    {% for relation, name, columns in modules.re.findall(pattern, sql) %}
        {% if relation not in rest and (relation, name, columns) not in followed %}
            {% do followed.append((relation, name, columns)) %}
        {% endif %}
    {% endfor %}
    {{ return(followed) }}
{% endmacro %}


{# A model's SQL for the keys in the temporary table changed_keys alone. #}
{% macro _of_changed_keys(sql) %}
    {% set parts, copied = [], [0] %}
    {% for found in modules.re.finditer(lotus_lake._followed_pattern(), sql) %}
        {% do parts.append(sql[copied[-1]:found.end(1)]) %}
        {% do parts.append(" where " ~ lotus_lake._key_value(found.group(3).split(", ")) ~ " in (from changed_keys)") %}
        {% do copied.append(found.end()) %}
    {% endfor %}
    {{ return((parts | join) ~ sql[copied[-1]:]) }}
{% endmacro %}
