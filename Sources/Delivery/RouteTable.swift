import Base

/// All routes, the first that fits wins. Looked up once per plan, so by hash and not by walking thousands.
package struct RouteTable: Sendable {
    private let routes: [DeliveryRoute]
    /// Index by domain, and by what stands after `*.`.
    private var exact: [[UInt8]: Int] = [:]
    private var below: [[UInt8]: Int] = [:]
    private var any: Int?

    package init(_ routes: [DeliveryRoute]) {
        self.routes = routes
        for (i, route) in routes.enumerated() {
            if route.pattern == [0x2A] {
                any = any ?? i
            } else if route.pattern.starts(with: [0x2A, ASCII.dot]) {
                let domain = Array(route.pattern.dropFirst(2))
                below[domain] = below[domain] ?? i
            } else {
                exact[route.pattern] = exact[route.pattern] ?? i
            }
        }
    }

    package var isEmpty: Bool { routes.isEmpty }

    /// For lower-case A-labels or an address literal.
    package func route(for destination: [UInt8]) -> DeliveryRoute? {
        guard !routes.isEmpty else { return nil }
        var best = any ?? routes.count
        if let i = exact[destination] { best = min(best, i) }
        if !below.isEmpty, destination.first != ASCII.leftBracket {
            var rest = destination[...]
            while let dot = rest.firstIndex(of: ASCII.dot) {
                rest = rest[(dot + 1)...]
                if let i = below[Array(rest)] { best = min(best, i) }
            }
        }
        return best < routes.count ? routes[best] : nil
    }
}
