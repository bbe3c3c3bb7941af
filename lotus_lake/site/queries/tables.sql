-- What readers of each table open now: its data files, and those that say which rows are deleted.
select
    table_name as name,
    file_count as files,
    delete_file_count as delete_files,
    round((file_size_bytes + delete_file_size_bytes) / 1e6, 1) as megabytes
from ducklake_table_info('lakehouse')
order by megabytes desc, name
