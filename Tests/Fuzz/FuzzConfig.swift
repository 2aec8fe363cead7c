import Base

/// The configuration parser: any bytes give a tree or a positioned error.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    do throws(ConfigSyntaxError) {
        _ = try ConfigParser.parse(bytes)
    } catch {
        precondition(error.position.line >= 1 && error.position.column >= 1 && !error.message.isEmpty)
    }
    return 0
}
