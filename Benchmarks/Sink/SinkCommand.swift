import ArgumentParser
struct SinkCommand: ParsableCommand { static let configuration = CommandConfiguration(commandName: "sink") }
