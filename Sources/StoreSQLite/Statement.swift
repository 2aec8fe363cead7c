import CSQLite
import Store

/// A prepared statement, kept for the life of its connection. `reset` after use: `run`, `rows` and `first` do.
final class Statement {
    private let handle: OpaquePointer
    private unowned let database: Database

    init(_ sql: StaticString, in database: Database) throws(StoreError) {
        self.database = database
        var made: OpaquePointer?
        let code = sql.withUTF8Buffer { text in
            text.withMemoryRebound(to: CChar.self) { characters in
                sqlite3_prepare_v3(
                    database.handle, characters.baseAddress, Int32(characters.count),
                    UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil)
            }
        }
        guard code == SQLITE_OK, let made else { throw database.failure(code) }
        handle = made
    }

    deinit { sqlite3_finalize(handle) }

    @discardableResult
    func bind(_ index: Int32, _ value: Int64) -> Statement {
        sqlite3_bind_int64(handle, index, value)
        return self
    }

    @discardableResult
    func bind(_ index: Int32, _ value: Int) -> Statement { bind(index, Int64(value)) }

    @discardableResult
    func bindNull(_ index: Int32) -> Statement {
        sqlite3_bind_null(handle, index)
        return self
    }

    /// Not copied: the bytes must outlive the step.
    func bindStatic(_ index: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
        guard let base = bytes.baseAddress, bytes.count > 0 else {
            sqlite3_bind_zeroblob(handle, index, 0)
            return
        }
        sqlite3_bind_blob64(handle, index, base, UInt64(bytes.count), nil)
    }

    @discardableResult
    func bind(_ index: Int32, _ bytes: [UInt8]) -> Statement {
        if bytes.isEmpty {
            sqlite3_bind_zeroblob(handle, index, 0)
            return self
        }
        bytes.withUnsafeBytes { raw in
            _ = sqlite3_bind_blob64(
                handle, index, raw.baseAddress, UInt64(raw.count),
                unsafeBitCast(-1, to: sqlite3_destructor_type.self))
        }
        return self
    }

    @discardableResult
    func bind(_ index: Int32, optional bytes: [UInt8]?) -> Statement {
        if let bytes { return bind(index, bytes) }
        return bindNull(index)
    }

    /// True: a row is there. False: done.
    func step() throws(StoreError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE { return false }
        let error = database.failure(code)
        sqlite3_reset(handle)
        throw error
    }

    func reset() { sqlite3_reset(handle) }

    /// Runs to the end; rows it gives are dropped.
    func run() throws(StoreError) {
        while try step() {}
        reset()
    }

    func rows<T>(_ read: (Statement) throws(StoreError) -> T) throws(StoreError) -> [T] {
        defer { reset() }
        var out: [T] = []
        while try step() { out.append(try read(self)) }
        return out
    }

    func first<T>(_ read: (Statement) throws(StoreError) -> T) throws(StoreError) -> T? {
        defer { reset() }
        return try step() ? try read(self) : nil
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    func int(_ column: Int32) -> Int { Int(sqlite3_column_int64(handle, column)) }
    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let base = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(handle, column))))
    }

    func optionalBytes(_ column: Int32) -> [UInt8]? { isNull(column) ? nil : bytes(column) }
    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }
}
