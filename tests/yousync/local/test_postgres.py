"""A real PostgreSQL: access, crashes, folders that the server's user cannot enter."""

import asyncio
import os
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from yousync.local.postgres import PrivatePostgres
from yousync.local.process import LocalServerError


async def query(url: str, *statements: str) -> object:
    """Run statements in one transaction; the single value that the last one gives."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for statement in statements[:-1]:
                await connection.execute(text(statement))
            return (await connection.execute(text(statements[-1]))).scalar()
    finally:
        await engine.dispose()


async def test_a_database_belongs_to_its_role_alone(postgres: PrivatePostgres) -> None:
    url = postgres.create_database("rooms_a")
    postgres.create_database("rooms_b")
    assert await query(url, "SELECT current_user") == "rooms_a"
    with pytest.raises(DBAPIError, match="permission denied for database"):
        await query(postgres.url("rooms_b", "rooms_a"), "SELECT 1")


async def test_making_a_database_again_keeps_what_is_in_it(postgres: PrivatePostgres) -> None:
    url = postgres.create_database("kept")
    await query(url, "CREATE TABLE t AS SELECT 7 AS x", "SELECT 1")
    assert await query(postgres.create_database("kept"), "SELECT x FROM t") == 7


async def test_names_are_quoted_everywhere(postgres: PrivatePostgres) -> None:
    name = 'it\'s "a" \\db:x'
    assert await query(postgres.create_database(name), "SELECT current_database()") == name


async def test_trigrams_of_korean_text_can_be_compared(postgres: PrivatePostgres) -> None:
    url = postgres.create_database("trigrams")
    similar = "SELECT similarity('기생충 명대사', '기생충')"
    assert await query(url, "CREATE EXTENSION pg_trgm", f"{similar} > 0.3 AND similarity('안녕', '세계') = 0")


def test_the_socket_is_closed_to_other_users(postgres: PrivatePostgres) -> None:
    assert (postgres.state_dir / "socket").stat().st_mode & 0o777 == 0o700
    assert (postgres.state_dir / "cluster").stat().st_mode & 0o777 == 0o700
    assert "listening on IPv" not in (postgres.state_dir / "postgres.log").read_text()


async def test_the_port_asks_for_the_password_of_the_role(tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path, tcp=True, durable=False)
    server.start()
    try:
        url = server.create_database("doors")
        assert await query(url, "SELECT inet_server_addr() IS NOT NULL")
        password = url.split(":")[2].split("@")[0]
        with pytest.raises(DBAPIError, match="password authentication failed"):
            await query(url.replace(password, "guess"), "SELECT 1")
        with pytest.raises(DBAPIError, match="password authentication failed"):
            await query(url.replace("doors:", "postgres:"), "SELECT 1")
        server.stop()
        server.start()
        assert server.url("doors") == url
    finally:
        server.stop()


async def test_what_was_committed_survives_a_crash(tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path)
    server.start()
    try:
        url = server.create_database("crash")
        await query(url, "CREATE TABLE t AS SELECT 7 AS x", "SELECT 1")
        server.kill()
        server.start()
        assert await query(url, "SELECT x FROM t") == 7
    finally:
        server.stop()


async def test_a_server_left_by_a_killed_program_is_adopted(tmp_path: Path) -> None:
    PrivatePostgres(tmp_path, durable=False).start()
    lock = (tmp_path / "cluster" / "postmaster.pid").read_text()
    server = PrivatePostgres(tmp_path, durable=False)
    server.start()
    assert (tmp_path / "cluster" / "postmaster.pid").read_text() == lock
    await asyncio.to_thread(PrivatePostgres(tmp_path, durable=False).stop)
    assert not (tmp_path / "cluster" / "postmaster.pid").exists()


def test_a_server_that_no_record_tells_of_is_replaced(tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path, durable=False)
    server.start()
    (tmp_path / "postgres.json").unlink()
    again = PrivatePostgres(tmp_path, durable=False)
    again.start()
    again.stop()


def test_a_lock_file_with_the_process_id_of_another_program_does_not_stop_a_start(tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path, durable=False)
    server.start()
    lock = tmp_path / "cluster" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    server.kill()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    server.start()
    server.stop()


def test_a_cluster_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "cluster.new").mkdir()
    (tmp_path / "cluster.new" / "PG_VERSION").write_text("18\n")
    server = PrivatePostgres(tmp_path, durable=False)
    server.start()
    server.stop()


def test_a_state_folder_too_deep_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 25) / "with space, 'quote' and \"comma\""
    server = PrivatePostgres(deep, durable=False)
    server.start()
    short = Path((deep / "socket-dir").read_text())
    try:
        assert short.stat().st_mode & 0o777 == 0o700
        assert asyncio.run(query(server.create_database("deep"), "SELECT 1")) == 1
        PrivatePostgres(deep, durable=False).start()
        assert Path((deep / "socket-dir").read_text()) == short
    finally:
        server.stop()
    assert not short.exists()


async def test_closed_folders_above_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = PrivatePostgres(closed / "state", durable=False)
    server.start()
    try:
        assert await query(server.create_database("closed"), "SELECT 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_uid == os.geteuid()
    finally:
        server.stop()


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path, durable=False)
    server.start()
    server.stop()
    (tmp_path / "cluster" / "PG_VERSION").write_text("12\n")
    with pytest.raises(LocalServerError, match="database files are incompatible with server"):
        server.start()
