{#
    The place of a landed file among the others of its stream, as a value to compare: its day
    folder, then its name with the numbers in it as numbers, so that part_9 comes before part_10,
    then the path itself. A path without a day folder comes first.
#}
{% macro natural_sort_key(path) -%}
    {%- set day_folder = "regexp_extract(" ~ path ~ ", 'year=\\d+/month=\\d+/day=\\d+/')" -%}
    {%- set file_name = "regexp_extract(" ~ path ~ ", '[^/]*$')" -%}
    struct_pack(
        day_folder := list_transform(
            regexp_extract_all({{ day_folder }}, '\d+'), lambda part: try_cast(part as integer)
        ),
        -- Text and number in turn; how many digits a number has comes before what they are.
        file_name := list_transform(
            list_zip(
                string_split_regex({{ file_name }}, '\d+'),
                regexp_extract_all({{ file_name }}, '\d+')
            ),
            lambda piece: [
                piece[1],
                coalesce(printf('%05d', length(ltrim(piece[2], '0'))) || ltrim(piece[2], '0'), '')
            ]
        ),
        path := {{ path }}
    )
{%- endmacro %}
