{#
    Stops an operation, before it changes anything, when one of its arguments cannot be meant.

        {% do lotus_lake._check_argument("days", days, "days") %}

    What it may be is a key of `kinds`; text may look like a number.
#}
{% macro _check_argument(name, value, kind) %}
    {% set kinds = {
        "days": ("[0-9]{1,5}", "a whole number of days, 0 or more"),
        "number": ("[0-9]{1,18}", "a whole number, 0 or more; `make status` and meta.feeder_files have it"),
        "day": ("[0-9]{4}-[0-9]{2}-[0-9]{2}", "YYYY-MM-DD"),
        "flag": ("True|False", "true or false"),
        "text": ("(?s).*", "text"),
    } %}
    {% set pattern, must = kinds[kind] %}
    {% set is_odd = value is none or (value is not string and value is iterable) or (value is string and kind == "flag") %}
    {% if is_odd or not modules.re.fullmatch(pattern, value | string) %}
        {{ exceptions.raise_compiler_error(name ~ " is '" ~ value ~ "'; it has to be " ~ must ~ ".") }}
    {% endif %}
{% endmacro %}
