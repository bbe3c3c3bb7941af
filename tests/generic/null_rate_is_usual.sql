{#
    Warns of columns that are null far more, or far less, often than on the same weekdays before
    (unusual_null_rates has the statistics). Reads these columns of the last weeks only.

    `time_column` is a timestamp with time zone, cut into days of the shop. `points` are the
    percentage points that a share may differ from the usual one. A column that is filled in later,
    such as fulfillment_status, is always emptier on new days: do not list it.
#}
{% test null_rate_is_usual(model, time_column, columns, points=10) %}
    {% set newest %}
        (select {{ shop_day("max(" ~ time_column ~ ")") }} from {{ model }}
        where {{ time_column }} < {{ shop_midnight(lotus_lake.watch_until() ~ " + 1") }})
    {% endset %}
    {# Asked before, it is a literal, which keeps DuckLake from opening files of older days. #}
    {% if flags.WHICH in ["build", "test"] and execute and not lotus_lake.setting("watch_as_of") %}
        {% set found = run_query("select " ~ newest).columns[0].values()[0] %}
        {% set newest = "cast(" ~ ("'" ~ found ~ "'" if found else "null") ~ " as date)" %}
    {% endif %}
    with

    counted as (
        select
            {{ shop_day(time_column) }} as day,
            count(*) as number_of_rows,
            {% for column in columns %}
            count(*) - count({{ column }}) as {{ column }},
            {% endfor %}
        from {{ model }}
        where
            {{ time_column }} < {{ shop_midnight(newest ~ " + 1") }}
            and {{ time_column }} >= {{ shop_midnight(newest ~ " - " ~ lotus_lake.watch_window()) }}
        group by 1
    ),

    days as (
        unpivot counted on {{ columns | join(", ") }} into name column_name value nulls
    )

    select
        column_name,
        day,
        number_of_rows,
        nulls,
        usual,
        score,
        format(
            '{{ model.identifier or "rows" }}.{}: null in {:,d} of {:,d} rows ({:.0f} %) of {} {}, usually {:.0f} %'
            || ' ({:.0f} to {:.0f} % on the {} of these days before). Ask whether the source has changed:'
            || ' see docs/checks.md, "A column is emptier than usual"',
            column_name, nulls, number_of_rows, 100 * nulls / number_of_rows, dayname(day), day, 100 * usual,
            100 * lowest, 100 * highest, weeks
        ) as message
    from ({{ lotus_lake.unusual_null_rates("days", points) }})
{% endtest %}
