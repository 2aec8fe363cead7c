import ArgumentParser
struct MicroCommand: ParsableCommand { static let configuration = CommandConfiguration(commandName: "micro") }
