import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;

/** Prints what JDBC's metadata calls say of a schema, in lines of fields with tabs between. */
class Metadata {
    public static void main(String[] args) throws SQLException {
        String schema = args[1];
        try (Connection connection = DriverManager.getConnection(args[0])) {
            DatabaseMetaData data = connection.getMetaData();
            print("table", data.getTables(null, schema, "%", new String[] {"TABLE"}),
                "TABLE_NAME", "REMARKS");
            print("column", data.getColumns(null, schema, "%", "%"),
                "TABLE_NAME", "COLUMN_NAME", "TYPE_NAME", "DECIMAL_DIGITS", "REMARKS");
            ResultSet tables = data.getTables(null, schema, "%", new String[] {"TABLE"});
            while (tables.next()) {
                String table = tables.getString("TABLE_NAME");
                print("key", data.getPrimaryKeys(null, schema, table), "TABLE_NAME", "COLUMN_NAME");
                print("index", data.getIndexInfo(null, schema, table, false, false),
                    "TABLE_NAME", "COLUMN_NAME", "NON_UNIQUE");
            }
        }
    }

    static void print(String kind, ResultSet rows, String... columns) throws SQLException {
        while (rows.next()) {
            StringBuilder line = new StringBuilder(kind);
            for (String column : columns) line.append('\t').append(rows.getString(column));
            System.out.println(line);
        }
    }
}
