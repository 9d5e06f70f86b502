# The commands around a graph file that train nothing.
. "$(dirname "$0")/common.sh"

# schema: JSON of the table of keys
exits 0 "$CZTC" schema
says out '"$schema": "http://json-schema.org/draft-07/schema#"'
says out '"title": "a graph file of cztc"'
says out '"description": "where samples come from."'
cp out graph.json
exits 0 "$CZTC" schema graph
same out graph.json
exits 0 "$CZTC" schema library
says out '"title": "a library file of cztc"'
exits 2 "$CZTC" schema step
says err "'step' is neither graph nor library"

exit $((failed != 0))
