{#
    Stops the run, with a line that names it, when a variable of the shop has a value that cannot be meant
    (on-run-start). The engine checks its own.
#}
{% macro check_shop_variables() %}
    {% if not execute or flags.WHICH not in ["run", "build", "seed", "snapshot", "test"] %}
        {{ return("") }}
    {% endif %}
    {% set values = [] %}
    {% for name in ["attribution_hours", "shop_currencies", "shop_timezone", "calendar_start", "calendar_end"] %}
        {# A date of YAML is no value of JSON. #}
        {% set value = var(name) %}
        {% set is_plain = value is none or value is number or value is iterable %}
        {% do values.append("'" ~ tojson(value if is_plain else value | string) | replace("'", "''") ~ "' as " ~ name) %}
    {% endfor %}
    {% set wrong = run_query("
        with given as (select " ~ values | join(", ") ~ "),

        days as (
            select
                case when regexp_full_match(calendar_start, '\"\d{4}-\d\d-\d\d\"')
                    then try_cast(calendar_start ->> '$' as date) end as first_day,
                case when regexp_full_match(calendar_end, '\"\d{4}-\d\d-\d\d\"')
                    then try_cast(calendar_end ->> '$' as date) end as last_day
            from given
        )

        select unnest([
            case when not coalesce(try_cast(attribution_hours as double) between 0.001 and 87600, false)
                then 'attribution_hours: a number from 0.001 to 87600.0' end,
            case when not regexp_full_match(shop_currencies, '\[(\"[^\"''\\\\]*\"(, ?\"[^\"''\\\\]*\")*)?\]')
                then 'shop_currencies: a list of codes such as [EUR, USD], or []' end,
            case when trim(shop_timezone, '\"') not in (select name from pg_timezone_names())
                then 'shop_timezone: a time zone, by a name like UTC or Europe/Berlin; '
                    || '`select name from pg_timezone_names()` lists them' end,
            case when first_day is null then 'calendar_start: a date, YYYY-MM-DD' end,
            case when last_day is null then 'calendar_end: a date, YYYY-MM-DD' end,
            case when first_day > last_day then 'calendar_end: no day before calendar_start, ''' || first_day || '''' end
        ]) as wrong
        from given cross join days
    ").columns[0].values() | reject("none") | list %}
    {% if wrong %}
        {% set name, must = wrong[0].split(": ", 1) %}
        {% set value = "null" if var(name) is none else var(name) %}
        {% do exceptions.raise_compiler_error("Variable " ~ name ~ " is '" ~ value ~ "'; it has to be " ~ must ~ ".") %}
    {% endif %}
{% endmacro %}
