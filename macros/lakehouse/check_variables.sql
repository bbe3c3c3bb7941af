{#
    Stops the run, with a line that names it, when a variable that shapes the models has a value that
    cannot be meant. The feeder's variables are checked with each stream's declaration.
#}
{% macro check_variables() %}
    {% set zone = var("shop_timezone") %}
    {% set known = run_query(
        "select count(*) from pg_timezone_names() where name = '" ~ (zone | replace("'", "''")) ~ "'"
    ) %}
    {% if known.columns[0].values()[0] == 0 %}
        {{ exceptions.raise_compiler_error(
            "Variable shop_timezone is '" ~ zone ~ "', which is no time zone. Use a name like UTC or "
            ~ "Europe/Berlin; `select name from pg_timezone_names()` lists them."
        ) }}
    {% endif %}
    {% set hours = var("attribution_hours") %}
    {% if hours is not number or hours <= 0 %}
        {{ exceptions.raise_compiler_error(
            "Variable attribution_hours is '" ~ hours ~ "'; it has to be a number of hours above 0."
        ) }}
    {% endif %}
    {% for name in ["calendar_start", "calendar_end"] %}
        {% set valid = run_query(
            "select try_cast('" ~ (var(name) | string | replace("'", "''")) ~ "' as date) is not null"
        ) %}
        {% if not valid.columns[0].values()[0] %}
            {{ exceptions.raise_compiler_error(
                "Variable " ~ name ~ " is '" ~ var(name) ~ "'; it has to be a date, YYYY-MM-DD."
            ) }}
        {% endif %}
    {% endfor %}
{% endmacro %}
