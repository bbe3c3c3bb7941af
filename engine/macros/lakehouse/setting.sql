{#
    A variable of the engine that macros read, with its default; those of the feeder and of upkeep have
    theirs in Python. A project sets it under `vars:` of its dbt_project.yml, or with --vars:

    - rebuild_on_code_change: a model whose own SQL or whose variables changed is rebuilt in full, so that
      a table is always what its code says; false rebuilds with --full-refresh only.
    - run_all_tests: a data test that passed runs again when its SQL or a table that it reads has changed;
      true, or --full-refresh, runs all.
    - The tests that watch what lands (docs/checks.md) compare a day with the same weekday of `watch_weeks`
      weeks before, and judge nothing before they have seen `watch_least_weeks` of these. They judge
      `watch_days` days: they warn of a bad day for as long. The newest `watch_settle_days` may still
      grow: a sync may run for days, or be late. `watch_score` is how far from the usual day is too far, in
      robust standard deviations. They report schema changes for `watch_report_days`. `watch_as_of`,
      YYYY-MM-DD: judge as if no later day were there.
#}
{% macro setting(name) %}
    {{ return(var(name, {
        "rebuild_on_code_change": true,
        "run_all_tests": false,
        "watch_weeks": 8,
        "watch_least_weeks": 4,
        "watch_days": 3,
        "watch_settle_days": 3,
        "watch_score": 2.5,
        "watch_report_days": 7,
        "watch_as_of": none,
    }[name])) }}
{% endmacro %}
