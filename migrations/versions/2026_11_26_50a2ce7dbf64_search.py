"""Search

An index entry of a post is a word after the number of the large block of ids that the post is in,
as `76/word`. `76//` stands for that block, and `76//2441` for a small block in it. See
docs/decisions/0019-search.md.
"""

import sqlalchemy as sa
from alembic import op

revision = "50a2ce7dbf64"
down_revision = "4f81bd6cae53"
branch_labels = None
depends_on = None

# The words of a text, without case and accents, between blanks, quotes and hyphens. Letters are
# those of Unicode whatever the database's language, by whichever collation the server has: PL/pgSQL
# reads a statement when it runs it, so that the other one need not exist.
SEARCH_WORDS = """
CREATE OR REPLACE FUNCTION search_words(accents regdictionary, text text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    plain text := normalize(text, NFKC);
BEGIN
    plain := coalesce((ts_lexize(accents, plain))[1], plain);
    IF current_setting('server_version_num')::int >= 170000 THEN
        plain := lower(plain COLLATE pg_c_utf8);
        plain := regexp_replace(plain COLLATE pg_c_utf8, '[^[:alnum:]"-]+', ' ', 'g');
    ELSE
        plain := lower(plain COLLATE "und-x-icu");
        plain := regexp_replace(plain COLLATE "und-x-icu", '[^[:alnum:]"-]+', ' ', 'g');
    END IF;
    IF octet_length(plain) > 1000 THEN
        -- PostgreSQL refuses words of more than 2,046 bytes.
        plain := regexp_replace(plain, '([^ "-]{255})[^ "-]+', '\\1', 'g');
    END IF;
    RETURN translate(plain, 'ς', 'σ');
END $$
"""
SEARCH_VECTOR = """
CREATE OR REPLACE FUNCTION search_vector(id bigint, words text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
DECLARE
    terms text := to_tsvector('simple', translate(words, '"-', '  '));
BEGIN
    terms := format(' ''/'' ''/%s'' %s', id >> 12, terms);
    RETURN replace(terms, ' ''', format(' ''%s/', id >> 17));
END $$
"""
# What to look for, one block after another from the cursor on: the rest of its small block and the
# next one, then the large blocks, without the posts of those two. No row if there is no word.
# `candidates` are posts with all words of a phrase, as the index does not know which words follow
# each other; they are compared with `phrases`, which is null if there is none.
SEARCH_BLOCKS = """
CREATE OR REPLACE FUNCTION search_blocks(words text, cursor bigint, newest_first boolean)
RETURNS TABLE (candidates tsquery, phrases tsquery, start bigint)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 100 AS $$
DECLARE
    -- A hyphen means "without" only between a blank and a word.
    query tsquery := websearch_to_tsquery(
        'simple', regexp_replace(words, '(?<=[^ ])-|-(?![^ ])', ' ', 'g'));
    pattern text := regexp_replace(query::text, '''([^'']+)''', '''#/\\1''', 'g');
    newest bigint := (SELECT coalesce(max(id), 0) FROM post);
    first bigint := CASE WHEN newest_first THEN least(cursor - 1, newest)
        ELSE least(cursor, newest) + 1 END;
    small bigint := first >> 12;
    large bigint := first >> 17;
    step int := CASE WHEN newest_first THEN -1 ELSE 1 END;
BEGIN
    IF numnode(query) = 0 OR first NOT BETWEEN 0 AND newest THEN
        RETURN;
    END IF;
    IF pattern LIKE '%<%' THEN
        phrases := query;
        pattern := regexp_replace(pattern, '!+\\( [^()]+ \\)', '''#//''', 'g');
        pattern := regexp_replace(pattern, '<[-0-9]+>', '&', 'g');
    END IF;
    start := cursor;
    FOR n IN 1 .. 2 LOOP
        candidates := replace(format('''#//%s'' & (%s)', small, pattern), '#', (small >> 5)::text);
        RETURN NEXT;
        small := small + step;
    END LOOP;
    IF newest_first THEN
        start := least(cursor, (small + 1) << 12);
    ELSE
        start := greatest(cursor, (small << 12) - 1);
    END IF;
    IF querytree(pattern::tsquery) = 'T' THEN
        -- It only says what is not in a post.
        pattern := format('''#//'' & (%s)', pattern);
    END IF;
    WHILE large BETWEEN 0 AND newest >> 17 LOOP
        candidates := replace(pattern, '#', large::text);
        RETURN NEXT;
        large := large + step;
    END LOOP;
END $$
"""
# By name: the table, the expression, and the condition.
INDEXES = {
    "ix_post_search": (
        "post",
        "search_vector(id, search_words('unaccent'::regdictionary, text))",
        None,
    ),
    "ix_user_like": ("user", 'lower(username COLLATE "C") gin_trgm_ops', "NOT deleted"),
}


def upgrade() -> None:
    for extension in ("unaccent", "pg_trgm"):
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
    for function in (SEARCH_WORDS, SEARCH_VECTOR, SEARCH_BLOCKS):
        op.execute(function.replace(":", r"\:"))
    with op.get_context().autocommit_block():
        for name, (table, expression, condition) in INDEXES.items():
            # One that was not finished is of no use.
            op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name,
                table,
                [sa.text(expression)],
                postgresql_using="gin",
                # With it, each look into the index would read a list of new rows from end to end.
                postgresql_with={"fastupdate": "off"},
                postgresql_where=condition and sa.text(condition),
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    for name, (table, *_) in INDEXES.items():
        op.drop_index(name, table)
    op.execute("DROP FUNCTION search_blocks, search_vector, search_words")
