import Base

/// The header block of a message under the hands of filters: every field has a number that stays, so that a filter's
/// "third Received" means the third it was shown, whatever another filter did meanwhile. What nobody changes stays octet
/// for octet, lines that are no fields included. Bounded by its maker (`octets`) and by `fieldsMax`.
package struct MilterHeader: Sendable {
    /// Fields beyond this many are carried along without being shown; a message that has them is not taken.
    package static let fieldsMax = HeaderParser.fieldsMax

    /// What one filter was shown, and what it has put in since, in order.
    package struct View: Sendable {
        fileprivate var slots: [Int]
        /// The same by lower-case name, once a change asked for it: a filter may want each field of a large header changed.
        fileprivate var named: [[UInt8]: [Int]]?
    }

    private struct Slot {
        /// In the block, or in `own` when that is not empty.
        var range: Range<Int>
        var name: Range<Int>
        var value: Range<Int>
        var own: [UInt8] = []
        var isField = true
        var isGone = false
    }

    private let block: [UInt8]
    private var slots: [Slot] = []
    private var order: [Int] = []
    private let tail: Range<Int>
    package private(set) var isChanged = false
    /// With every change made.
    package private(set) var octets: Int

    package init(_ block: [UInt8]) {
        self.block = block
        octets = block.count
        let span = block.span
        var parser = HeaderParser()
        var end = 0
        var found: [Slot] = []
        while found.count < Self.fieldsMax, let field = parser.next(in: span) {
            // No filter could name such a field, nor be told of it: it goes along like a line that is none.
            guard field.name.count <= MilterText.nameMax else { continue }
            if field.range.lowerBound > end { found.append(Self.opaque(end..<field.range.lowerBound)) }
            found.append(Slot(range: field.range, name: field.name, value: field.value))
            end = field.range.upperBound
        }
        // The empty line, or what stands where it should be: fields beyond the bound, lines that are none.
        let bodyStart = parser.bodyStart ?? block.count
        let blank = Self.blankLine(span, from: end, to: bodyStart)
        if blank > end { found.append(Self.opaque(end..<blank)) }
        tail = blank..<block.count
        slots = found
        order = Array(found.indices)
    }

    private static func opaque(_ range: Range<Int>) -> Slot {
        Slot(range: range, name: range.lowerBound..<range.lowerBound, value: range, isField: false)
    }

    /// Where the line that ends the header begins; `to` when there is none.
    private static func blankLine(_ block: Span<UInt8>, from: Int, to end: Int) -> Int {
        if end - from >= 2, block[end - 1] == ASCII.lf, block[end - 2] == ASCII.cr,
            end - 2 == from || block[end - 3] == ASCII.lf
        {
            return end - 2
        }
        if end - from >= 1, block[end - 1] == ASCII.lf, end - 1 == from || block[end - 2] == ASCII.lf { return end - 1 }
        return end
    }

    /// The block as it stands now.
    package var bytes: [UInt8] {
        guard isChanged else { return block }
        var out: [UInt8] = []
        out.reserveCapacity(octets)
        for id in order where !slots[id].isGone {
            let slot = slots[id]
            if slot.own.isEmpty {
                out += block[slot.range]
                // The last line of a message that ends within its header.
                if out.last != ASCII.lf { out += [ASCII.cr, ASCII.lf] }
            } else {
                out += slot.own
            }
        }
        return out + block[tail]
    }

    /// The block, ended by an empty line even when the message had none: a body may follow.
    package var bytesBeforeBody: [UInt8] {
        var out = bytes
        guard tail.isEmpty else { return out }
        if let last = out.last, last != ASCII.lf { out += [ASCII.cr, ASCII.lf] }
        return out + [ASCII.cr, ASCII.lf]
    }

    // MARK: Showing it

    /// What a filter that begins now is shown.
    package func view() -> View { View(slots: order.filter { slots[$0].isField && !slots[$0].isGone }) }

    package func count(in view: View) -> Int { view.slots.count }

    package func name(_ i: Int, in view: View) -> [UInt8] {
        guard view.slots.indices.contains(i) else { return [] }
        return fieldName(view.slots[i])
    }

    /// Line ends are LF; the white space behind the colon as the filter wants it.
    package func value(_ i: Int, in view: View, keepsLeadingSpace: Bool) -> [UInt8] {
        guard view.slots.indices.contains(i) else { return [] }
        return value(of: view.slots[i], keepsLeadingSpace: keepsLeadingSpace)
    }

    private func value(of id: Int, keepsLeadingSpace: Bool) -> [UInt8] {
        let slot = slots[id]
        let span = slot.own.isEmpty ? block.span : slot.own.span
        return MilterText.value(span.extracting(slot.value), keepsLeadingSpace: keepsLeadingSpace)
    }

    // MARK: Changing it

    /// At the end.
    package mutating func add(_ name: [UInt8], _ value: [UInt8], hasLeadingSpace: Bool, _ view: inout View) {
        let id = make(name, value, hasLeadingSpace)
        order.append(id)
        view.slots.append(id)
        view.named?[ASCII.lowercased(name), default: []].append(id)
    }

    /// 1 is in front of the first field; 0 too, for our own Received field is not there yet. Beyond the last: at the end.
    package mutating func insert(
        _ index: Int, _ name: [UInt8], _ value: [UInt8], hasLeadingSpace: Bool, _ view: inout View
    ) {
        var place = max(0, index - 1)
        // Fields that the filter took away have no place any more.
        for (i, id) in view.slots.enumerated() where !slots[id].isGone {
            guard place == 0 else {
                place -= 1
                continue
            }
            let isFirst = index <= 1
            guard let at = isFirst ? 0 : order.firstIndex(of: id) else { break }
            let new = make(name, value, hasLeadingSpace)
            order.insert(new, at: at)
            if view.named != nil {
                let before = view.slots[..<i].count { isNamed($0, name) }
                view.named?[ASCII.lowercased(name), default: []].insert(new, at: before)
            }
            view.slots.insert(new, at: i)
            return
        }
        add(name, value, hasLeadingSpace: hasLeadingSpace, &view)
    }

    /// What came of a wish to change a field; the value it had, as filters are shown values.
    package enum Change: Sendable, Equatable {
        case added
        case changed(was: [UInt8])
        case removed(was: [UInt8])
        /// It was not there, or gone already.
        case nothing
    }

    /// The `index`th field of the name among those shown, counting from 1 and counting those taken away too: so a filter
    /// may remove several going up or going down. An empty value removes; a field that is not there is added.
    @discardableResult
    package mutating func change(
        _ index: Int, _ name: [UInt8], _ value: [UInt8], hasLeadingSpace: Bool, _ view: inout View
    ) -> Change {
        if view.named == nil { view.named = Dictionary(grouping: view.slots) { ASCII.lowercased(fieldName($0)) } }
        let found = view.named?[ASCII.lowercased(name)] ?? []
        let place = max(1, index) - 1
        if place < found.count, !slots[found[place]].isGone {
            let was = self.value(of: found[place], keepsLeadingSpace: false)
            if value.isEmpty {
                remove(found[place])
                return .removed(was: was)
            }
            replace(found[place], with: value, hasLeadingSpace)
            return .changed(was: was)
        }
        guard !value.isEmpty else { return .nothing }
        add(name, value, hasLeadingSpace: hasLeadingSpace, &view)
        return .added
    }

    private func fieldName(_ id: Int) -> [UInt8] {
        slots[id].own.isEmpty ? Array(block[slots[id].name]) : Array(slots[id].own[slots[id].name])
    }

    private func isNamed(_ id: Int, _ name: [UInt8]) -> Bool {
        let slot = slots[id]
        guard slot.name.count == name.count else { return false }
        for (i, c) in name.enumerated() {
            let other = slot.own.isEmpty ? block[slot.name.lowerBound + i] : slot.own[slot.name.lowerBound + i]
            guard ASCII.lowercased(other) == ASCII.lowercased(c) else { return false }
        }
        return true
    }

    private mutating func make(_ name: [UInt8], _ value: [UInt8], _ hasLeadingSpace: Bool) -> Int {
        let own = MilterText.field(name: name, value: value, hasLeadingSpace: hasLeadingSpace)
        slots.append(
            Slot(range: 0..<0, name: 0..<name.count, value: name.count + 1..<own.count - 2, own: own))
        octets += own.count
        isChanged = true
        return slots.count - 1
    }

    private mutating func remove(_ id: Int) {
        guard !slots[id].isGone else { return }
        slots[id].isGone = true
        octets -= size(id)
        isChanged = true
    }

    /// The name stays spelled as it is.
    private mutating func replace(_ id: Int, with value: [UInt8], _ hasLeadingSpace: Bool) {
        let name = fieldName(id)
        octets -= size(id)
        let own = MilterText.field(name: name, value: value, hasLeadingSpace: hasLeadingSpace)
        octets += own.count
        slots[id].own = own
        slots[id].name = 0..<name.count
        slots[id].value = name.count + 1..<own.count - 2
        isChanged = true
    }

    private func size(_ id: Int) -> Int { slots[id].own.isEmpty ? slots[id].range.count : slots[id].own.count }
}
