import Base

/// What the readers of domain settings have in common.
enum SettingText {
    /// Without white space around it. White space within stays: `zen example` is no name.
    static func trimmed(_ text: some BidirectionalCollection<UInt8>) -> [UInt8] {
        let isSpace: (UInt8) -> Bool = { $0 == ASCII.space || $0 == ASCII.tab }
        guard let first = text.firstIndex(where: { !isSpace($0) }), let last = text.lastIndex(where: { !isSpace($0) })
        else { return [] }
        return Array(text[first...last])
    }
}
