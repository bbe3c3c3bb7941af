{#
    Stops the run, with a line that names it, when a variable that shapes the models or their checks has
    a value that cannot be meant. The feeder's variables are checked with each stream's declaration.
#}
{% macro check_variables() %}
    {% do lotus_lake._check_numbers([
        ("attribution_hours", 0.001, 87600.0), ("watch_score", 0.001, 1000.0),
        ("watch_weeks", 1, 520), ("watch_least_weeks", 1, var("watch_weeks")), ("watch_days", 1, 3650),
        ("watch_settle_days", 0, 3650), ("watch_report_days", 0, 3650),
    ]) %}
    {% if var("rebuild_on_code_change") is not boolean %}
        {% do lotus_lake._refuse_variable("rebuild_on_code_change", "true or false") %}
    {% endif %}
    {% set codes = var("shop_currencies") %}
    {% if codes is string or codes is mapping or codes is not iterable
            or codes | reject("string") | list or "'" in codes | join or "\\" in codes | join %}
        {% do lotus_lake._refuse_variable("shop_currencies", "a list of codes such as [EUR, USD], or []") %}
    {% endif %}
    {% set texts = {} %}
    {% for name in ["shop_timezone", "calendar_start", "calendar_end", "watch_as_of"] %}
        {% do texts.update({name: "'" ~ (var(name) | string | replace("'", "''")) ~ "'"}) %}
    {% endfor %}
    {% set valid = run_query(
        "select exists (from pg_timezone_names() where name = " ~ texts.shop_timezone ~ "),"
        ~ lotus_lake._is_date_sql(texts.calendar_start) ~ "," ~ lotus_lake._is_date_sql(texts.calendar_end)
        ~ "," ~ lotus_lake._is_date_sql(texts.watch_as_of) ~ ", coalesce(try_cast(" ~ texts.calendar_start
        ~ " as date) <= try_cast(" ~ texts.calendar_end ~ " as date), false)"
    ).rows[0] %}
    {% if not valid[0] %}
        {% do lotus_lake._refuse_variable("shop_timezone", "a time zone, by a name like UTC or Europe/Berlin;"
            ~ " `select name from pg_timezone_names()` lists them") %}
    {% elif not valid[1] %}
        {% do lotus_lake._refuse_variable("calendar_start", "a date, YYYY-MM-DD") %}
    {% elif not valid[2] %}
        {% do lotus_lake._refuse_variable("calendar_end", "a date, YYYY-MM-DD") %}
    {% elif not valid[4] %}
        {% do lotus_lake._refuse_variable("calendar_end", "no day before calendar_start, "
            ~ texts.calendar_start) %}
    {% elif var("watch_as_of") and not valid[3] %}
        {% do lotus_lake._refuse_variable("watch_as_of", "a date, YYYY-MM-DD, or null") %}
    {% endif %}
{% endmacro %}


{#
    Refuses variables that are no numbers from the least to the greatest value given; whole ones, where
    these are whole.
#}
{% macro _check_numbers(bounds) %}
    {% for name, least, most in bounds %}
        {% set value = var(name) %}
        {% if value is not number or value is boolean or not least <= value <= most
                or (least is integer and value is not integer) %}
            {% do lotus_lake._refuse_variable(
                name, "a " ~ ("whole " if least is integer else "") ~ "number from " ~ least ~ " to " ~ most
            ) %}
        {% endif %}
    {% endfor %}
{% endmacro %}


{% macro _is_date_sql(text) -%}
    coalesce(try_cast({{ text }} as date) between '0001-01-01' and '9999-12-31', false)
{%- endmacro %}


{# The scheduler knows a wrong configuration (exit code 64) by the name of this macro. #}
{% macro _refuse_variable(name, must) %}
    {% set value = "null" if var(name) is none else var(name) %}
    {{ exceptions.raise_compiler_error(
        "Variable " ~ name ~ " is '" ~ value ~ "'; it has to be " ~ must ~ "."
    ) }}
{% endmacro %}
