import CEpoll

extension ControlHooks {
    /// A reload for a daemon that reloads on SIGHUP: what is wrong with the configuration comes back to the asker and
    /// nothing changes; a good one is applied by the main thread.
    package static func reloadBySignal(_ inputs: ConfigInputs) -> @Sendable () -> ControlAnswer {
        {
            do throws(ConfigProblems) {
                _ = try LoadedConfiguration.load(inputs)
            } catch {
                return .failed("\(error.description)\nthe old configuration stays in force", ExitStatus.configuration)
            }
            guard kill(getpid(), SIGHUP) == 0 else { return .failed("the server could not be told") }
            return ControlAnswer(output: Array("reloading\n".utf8))
        }
    }
}
