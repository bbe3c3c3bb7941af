{#
    A table of the lake that is kept equal to its SQL, with as little work as its inputs' changes ask
    for: see _build_plan(). Rows, positions and a new table commit in one DuckLake transaction.

    - `create`: the table is made;
    - `whole`: everything is computed, and the rows that differ are replaced;
    - `keys`: only the rows of keys whose inputs changed are computed, and those that differ replaced.

    So whatever reads this table sees real changes only, and a repeated delivery ends here.
#}
{% materialization lake_table, adapter="duckdb" %}
    {% set relation = this.incorporate(type="table") %}
    {{ run_hooks(pre_hooks) }}
    {% set plan = lotus_lake._build_plan(sql) %}
    {% if plan.mode == "skip" %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
    {% else %}
        {% set message = this.identifier ~ ": " ~ plan.mode ~ ", " ~ plan.reason %}
        {% do print(message) %}
        {% set write_sql = lotus_lake._create_sql(relation, sql, plan) if plan.mode == "create"
            else lotus_lake._update_sql(relation, sql, plan) %}
        {% do lotus_lake._commit_to_lake(write_sql, message) %}
        {% call noop_statement("main", "OK") %}{% endcall %}
        {% do persist_docs(relation, model) %}
    {% endif %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({"relations": [relation]}) }}
{% endmaterialization %}


{#
    Sorted by its key, so that what is asked of a few keys reads few row groups (docs/decisions/0017). Keys
    of text are hashes mostly: the keys of a tick are anywhere, and sorting them would cost without a gain.
    The semicolon is on a line of its own: a model may end with a comment.
#}
{% macro _create_sql(relation, sql, plan) %}
    {% set has_contract = config.get("contract").enforced %}
    {{ get_assert_columns_equivalent(sql) if has_contract }}
    drop table if exists {{ relation }};
    create table {{ relation }} {{ get_table_columns_and_constraints() if has_contract
        else "as select * from (" ~ sql ~ "\n) limit 0" }};
    {% if plan.key and model.columns.get(plan.key_columns[0], {}).get("data_type") != "varchar" %}
    alter table {{ relation }} set sorted by ({{ plan.key_columns | join(" asc, ") }} asc);
    {% endif %}
    insert into {{ relation }} by name
    {{ sql }}
    ;
    {{ lotus_lake._save_positions(plan) }}
{% endmacro %}


{# Without a key a row is its own key: all rows that are equal to it are replaced together. #}
{% macro _update_sql(relation, sql, plan) %}
    {% set by_keys = plan.mode == "keys" %}
    {% if by_keys %}
    create or replace temp table changed_keys as
    select key from ({{ plan.keys_sql }}) where key is not null;
    {% endif %}

    create or replace temp table new_rows as
    select * from {{ relation }} limit 0;

    insert into new_rows by name
    {{ lotus_lake._of_changed_keys(sql) if by_keys else sql }}
    ;

    create or replace temp table old_rows as
    select * from {{ relation }}{{ " where " ~ plan.key ~ " in (from changed_keys)" if by_keys }};

    -- Rows that one side has more often; `except all` would take four times as long.
    create or replace temp table differing as
    select {{ plan.key or "hash(differing)" }} as key
    from (
        select unnest(whole_row) from (
            select new_rows as whole_row, 1 as side from new_rows
            union all
            select old_rows, -1 from old_rows
        )
        group by whole_row
        having sum(side) <> 0
    ) as differing;

    delete from {{ relation }} as old_rows
    where {{ plan.key or "hash(old_rows)" }} in (from differing);
    insert into {{ relation }}
    select * from new_rows where {{ plan.key or "hash(new_rows)" }} in (from differing);
    {{ lotus_lake._save_positions(plan) }}
{% endmacro %}
